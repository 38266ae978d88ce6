"""`POST /completions` on the internal listener: the platform itself reports who has finished what.

Where completions are evidence this is the way: a learner can send every request that a rule on traffic knows. Whoever
has the token is believed, so no gate is asked here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from bridge.errors import Code, Refusal, StateError
from bridge.exchange import Head
from bridge.front.bearer import CHALLENGE
from bridge.front.completion_body import Reported, read
from bridge.front.requests import head_of, read_body
from bridge.front.rules import Rules
from bridge.identity.people import People
from bridge.outbox.outbox import Outbox
from bridge.pages import MEDIA_TYPE, problem, reference

MAX_BODY_BYTES = 8_192
RETRY_SECONDS = 10

log = structlog.get_logger()


class CompletionEndpoint:
    """Answers the platform. `rules` gives those in force; `authorize` raises `Refusal` for whoever may not report."""

    def __init__(
        self,
        people: People,
        outbox: Outbox,
        rules: Callable[[], Rules],
        authorize: Callable[[Head], Awaitable[None]],
    ) -> None:
        self._people = people
        self._outbox = outbox
        self._rules = rules
        self._authorize = authorize

    async def answer(self, request: Request) -> Response:
        """202 with the id of the outbox's entry once that is on disk; else a problem document (RFC 9457)."""
        try:
            await self._authorize(head_of(request))
            reported = read(await read_body(request, MAX_BODY_BYTES, Code.REQUEST_MALFORMED), datetime.now(UTC))
            return JSONResponse({"id": await self._record(reported)}, 202)
        except StateError as error:
            return _problem(Refusal(Code.USER_UNKNOWN, str(error)))
        except Refusal as refusal:
            return _problem(refusal)
        except ClientDisconnect:
            return Response(None, 400)  # which nobody reads

    async def _record(self, reported: Reported) -> str:
        tenant = self._rules().tenant(reported.tenant)
        if reported.user is not None:
            person = await self._people.by_id(tenant, reported.user)
        else:
            person = await self._people.by_remote_id(tenant, str(reported.remote_id))
        id = await self._outbox.complete(
            tenant,
            person,
            reported.course,
            source="api",
            completed_at=reported.completed_at,
            score=reported.score,
        )
        facts = {"tenant": tenant.slug, "user": person.id, "course": reported.course}
        log.info("completion_noted", source="api", entry=id, **facts)
        return id


def _problem(refusal: Refusal) -> Response:
    words, code = reference(), str(refusal.code)
    log.info("completion_refused", code=code, status=refusal.status, reference=words, reason=refusal.reason)
    headers = {"Cache-Control": "no-store", "Bridge-Error": code}
    if refusal.status == 401:
        headers |= dict([CHALLENGE])
    if refusal.status in (429, 503):
        headers["Retry-After"] = str(RETRY_SECONDS)
    body = problem(refusal.code, words, refusal.status, detail=refusal.reason)
    return Response(body, refusal.status, headers, media_type=MEDIA_TYPE)
