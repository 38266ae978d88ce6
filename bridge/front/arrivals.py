"""Sign-ins that nobody asked for, between the IdP's POST and the session (IdP-initiated, SAML profiles 4.1.5).

The POST comes from another site, so a browser withholds our cookies from it, and one that the session of somebody else
would be lost by must not be answered with a session at once (the contract, section 4). What was signed in waits under
another name for a request on our own site. There it becomes the session: by itself where it replaces nobody's, else by
the learner's click.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from starlette.responses import Response

from bridge.audit import Audit, launched_by
from bridge.exchange import Head
from bridge.front.cookies import ARRIVED
from bridge.front.desk import Desk
from bridge.front.logins import login_path
from bridge.front.refusals import redirect, respond
from bridge.front.requests import is_framed, language
from bridge.session.sessions import Entry, SignIn, session_id, session_name
from bridge.session.tokens import Tokens
from bridge.settings.model import Tenant
from bridge.store.engine import now_ms

WAITING_SECONDS = 10 * 60


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the cookie of an arrival says. `id` binds a page that asks to the arrival about which it asks.

    `session` is the `session_id` of what waits. Anybody can read it in the cookie, so it has no signature of its own:
    as a session's cookie it would let in whom `settle` has not. `ends_at` is the IdP's own limit for it, in
    milliseconds since 1970.
    """

    id: str
    tenant: str
    session: str
    ends_at: int | None


class Arrivals:
    """Keeps them waiting, and lets them in."""

    def __init__(self, secrets: Sequence[str], desk: Desk, audit: Audit) -> None:
        self._tokens = Tokens(secrets, "arrival")
        self._desk = desk
        self._audit = audit

    async def wait(self, head: Head, sign_in: SignIn, next: str) -> Response:
        """Keep a verified sign-in waiting, and send the browser on to where it is decided. Raises `StateError`.

        What nobody lets in ends by itself within ten minutes.
        """
        limit, soon = sign_in.ends_at, now_ms() + WAITING_SECONDS * 1000
        session = await self._desk.sessions.open(replace(sign_in, ends_at=min(soon, limit or soon)))
        arrival = Arrival(random.token_urlsafe(16), sign_in.tenant.slug, session_id(session), limit)
        cookies = self._desk.cookies.within(head, sign_in.tenant)
        kept = cookies.write(ARRIVED, self._tokens.dump(asdict(arrival)), WAITING_SECONDS)
        return redirect(login_path(sign_in.tenant, arrived=arrival.id, next=next), headers=[kept])

    async def settle(self, head: Head, tenant: Tenant, id: str, next: str, *, clicked: bool) -> Response | None:
        """Let in what waits, or ask; None where only a login of the usual kind helps. Raises `StateError`.

        `clicked` says that the learner was asked, on a page of our own; such a page is not shown in a frame.
        """
        arrival = self._find(head, tenant, id)
        cookie = self._desk.sessions.cookie_of(arrival.session) if arrival else ""
        waiting = await self._desk.sessions.find(cookie) if arrival else None
        there = await self._desk.session(head)
        if arrival is None or waiting is None:
            return redirect(next) if there and there.tenant.slug == tenant.slug else None
        if there and not clicked and not _same_person(there, waiting):
            return None if is_framed(head) else self._ask(head, there, waiting, arrival, next)
        session = await self._desk.sessions.renew(cookie, arrival.ends_at)
        if session is None:
            return None
        if former := self._desk.session_cookie(head):
            await self._desk.sessions.end(former)
        self._audit.signed_in(waiting.row, tenant, session_name(session), launched_by(waiting), idp_initiated=True)
        admitted = self._desk.admit(head, tenant, session)
        return redirect(next, headers=[*admitted, self._desk.cookies.within(head, tenant).drop(ARRIVED)])

    async def turn_away(self, head: Head, tenant: Tenant, id: str) -> Response:
        """The learner stays who they are: what waits ends now. Raises `StateError`."""
        if arrival := self._find(head, tenant, id):
            await self._desk.sessions.end(self._desk.sessions.cookie_of(arrival.session))
        return redirect("/", headers=[self._desk.cookies.within(head, tenant).drop(ARRIVED)])

    def _ask(self, head: Head, there: Entry, waiting: Entry, arrival: Arrival, next: str) -> Response:
        page = self._desk.pages.of(there.tenant).switch(
            current=there.tenant.name,
            other=waiting.tenant.name,
            action=login_path(waiting.tenant),
            stay=login_path(waiting.tenant, stay=arrival.id),
            fields={"arrived": arrival.id, "next": next},
            language=language(head),
        )
        return respond(page)

    def _find(self, head: Head, tenant: Tenant, id: str) -> Arrival | None:
        arrival = self._tokens.read(Arrival, self._desk.cookies.all(head).get(ARRIVED), WAITING_SECONDS)
        return arrival if arrival and (arrival.id, arrival.tenant) == (id, tenant.slug) else None


def _same_person(one: Entry, other: Entry) -> bool:
    """Of one tenant, and known by the same user id, or by the same subject where Kombo knows nobody."""
    first, second = ((entry.row.tenant, entry.row.user_id, entry.row.subject) for entry in (one, other))
    return first == second and first[1:] != (None, None)
