"""Where a refusal becomes what somebody sees: one log line for the operator, one page or problem document for the
other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog
from starlette.responses import Response

from bridge.errors import Code, Refusal, SamlRefusal
from bridge.exchange import Head
from bridge.front.requests import is_page_load, language, wants_page
from bridge.launches.launches import Launches
from bridge.pages import MEDIA_TYPE, Looks, Page, RefusalLinks, problem
from bridge.pages import reference as new_reference
from bridge.settings.model import Tenant

log = structlog.get_logger()


class Refusals:
    """Answers for refusals."""

    def __init__(self, pages: Looks, launches: Launches) -> None:
        self._pages = pages
        self._launches = launches

    def answer(
        self,
        head: Head,
        refusal: Refusal,
        *,
        reference: str | None = None,
        tenant: Tenant | None = None,
        host: Tenant | None = None,
        user_id: str | None = None,
        course: str | None = None,
        again: bool = False,
        links: RefusalLinks | None = None,
        look_again_after: int | None = None,
        usual: timedelta | None = None,
        cookies: Sequence[tuple[str, str]] = (),
    ) -> Response:
        """The answer, after its log line; both carry the same reference: that of the launch which ends, or a new one.

        `again` says that the same was refused to the same person before, who is looking again.
        `look_again_after`, in seconds, is said to programs as well; a page does so by itself only where it was loaded,
        as a form that was sent is not to be sent again. `usual` is for the page (`Pages.refusal`). `host` is whose look
        the page has where the refusal is no tenant's.
        """
        words = refusal.reference or reference or new_reference()
        if not head.rehearsal:
            _log(head, refusal, words, tenant)
            if refusal.reference is None and not again:
                self._note(head, refusal, words, tenant, user_id, course)
        own = [("Bridge-Error", str(refusal.code)), *cookies]
        if look_again_after is not None:
            own.append(("Retry-After", str(look_again_after)))
        if not wants_page(head):
            return _problem(refusal, words, own)
        host = tenant or host
        pages, name, spoken = self._pages.of(host), host.name if host else None, language(head)
        if refusal.code is Code.LOGIN_REQUIRED:
            page = pages.post_expired(reference=words, language=spoken, tenant_name=name, links=links)
        else:
            page = pages.refusal(
                refusal.code,
                reference=words,
                language=spoken,
                tenant_name=name,
                links=links,
                look_again_after=look_again_after if is_page_load(head) else None,
                usual=usual,
            )
        return respond(page, refusal.status, own)

    def _note(
        self,
        head: Head,
        refusal: Refusal,
        words: str,
        tenant: Tenant | None,
        user_id: str | None,
        course: str | None,
    ) -> None:
        """For whoever is told the reference. Nobody is of a missing session, where no page was asked for."""
        if refusal.code is not Code.LOGIN_REQUIRED or wants_page(head):
            self._launches.noted(head, refusal, words, tenant, user_id, course)


def respond(page: Page, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """A page as a response. Written header by header: a dictionary would merge cookies."""
    response = Response(page.html, status)
    response.raw_headers = [pair for pair in response.raw_headers if pair[0] == b"content-length"]
    return _with(response, (*page.headers, *headers))


def redirect(url: str, status: int = 303, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """A redirect that nothing may keep."""
    own = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return _with(Response(None, status, own), headers)


def _with(response: Response, headers: Sequence[tuple[str, str]]) -> Response:
    for name, value in headers:
        response.headers.append(name, value)
    return response


def _problem(refusal: Refusal, words: str, headers: Sequence[tuple[str, str]]) -> Response:
    body = problem(refusal.code, words, refusal.status)
    return _with(Response(body, refusal.status, {"Cache-Control": "no-store"}, media_type=MEDIA_TYPE), headers)


def _log(head: Head, refusal: Refusal, words: str, tenant: Tenant | None) -> None:
    facts = {"check": refusal.check} if isinstance(refusal, SamlRefusal) else {}
    log.info(
        "request_refused",
        code=str(refusal.code),
        status=refusal.status,
        reference=words,
        reason=refusal.reason,
        tenant=tenant.slug if tenant else None,
        method=head.method.decode("latin-1"),
        path=head.path[:512].decode("latin-1"),
        **facts,
    )
