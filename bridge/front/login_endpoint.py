"""The login endpoint, `/_bridge/saml/{tenant}/login`: where logins begin, and where answers go round by.

A browser withholds our cookies from the IdP's POST, which comes from another site. So the ACS sends it here, to a
request on our own site that has them:

    resume    the answer came without its login's cookie, or to no login: one more is begun
    used      the answer has been used: on to the page, if its session lives
    arrived   an answer that nobody asked for, verified: it becomes the session, once that is nobody's loss
    stay      and the learner would rather not
    found     how the tenant was found, where a page of ours stood between the link and this
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.front.acs import AGAIN_SECONDS, AssertionConsumer
from bridge.front.arrivals import Arrivals
from bridge.front.cookies import AGAIN, RESUMED
from bridge.front.desk import Desk
from bridge.front.front import Front
from bridge.front.logins import login_path
from bridge.front.refusals import redirect
from bridge.front.requests import from_own_pages, is_framed, navigates, query_and_form
from bridge.front.targets import next_target
from bridge.front.underway import Login
from bridge.launches.trail import FOUND_BEFORE, Found
from bridge.session.sessions import session_name
from bridge.settings.model import Tenant


class LoginEndpoint:
    """Answers at a tenant's login."""

    def __init__(self, front: Front, desk: Desk, consumer: AssertionConsumer, arrivals: Arrivals) -> None:
        self._front = front
        self._desk = desk
        self._consumer = consumer
        self._arrivals = arrivals

    async def answer(self, request: Request, head: Head, tenant: Tenant) -> Response:
        """Start a login, or see to the answer of one. Raises `Refusal` and `StateError`.

        Only a form of our own page, the button of "switch organisation?", replaces somebody else's session unasked. A
        form of another site comes without the session's cookie, so it goes round by a request that has it.
        """
        if not navigates(head):
            raise Refusal(Code.LOGIN_REQUIRED, "a login is for a browser's window, and this is not for one")
        rules = self._front.rules
        fields = await query_and_form(request)
        next = next_target(fields.get("next"), fragment=rules.keeps_fragments)
        clicked = request.method == "POST" and from_own_pages(head, rules.configuration.login_origin(tenant))
        if not rules.is_login_place(head, tenant) or (request.method == "POST" and not clicked):
            return redirect(rules.login_url(tenant, next=next))
        if "resume" in fields:
            return await self._resume(head, tenant, fields["resume"], next)
        if "used" in fields:
            return await self._used(head, tenant, fields["used"], next)
        if "stay" in fields:
            return await self._arrivals.turn_away(head, tenant, fields["stay"])
        if "arrived" in fields:
            settled = await self._arrivals.settle(head, tenant, fields["arrived"], next, clicked=clicked)
            if settled:
                return settled
            if not self._desk.cookies.all(head) and not self._leaves_frame(head, tenant):
                return self._go_round(head, tenant, next)
        return await self._begin(head, tenant, next, _found(fields.get("found")), clicked=clicked)

    def _go_round(self, head: Head, tenant: Tenant, next: str) -> Response:
        """On to `_resume`, with a cookie that is missed there where the browser keeps none.

        Otherwise an IdP that answers every request by beginning itself would be asked for ever.
        """
        marker = self._desk.cookies.within(head, tenant).write(AGAIN, "1", AGAIN_SECONDS)
        return redirect(login_path(tenant, resume="", next=next), headers=[marker])

    async def _begin(self, head: Head, tenant: Tenant, next: str, found: Found, *, clicked: bool) -> Response:
        entry = None if clicked else await self._desk.session(head)
        if entry and entry.tenant.slug != tenant.slug:
            return self._front.ask_to_switch(head, entry, tenant, next)
        return self._front.doorway.begin(head, tenant, next, found, fragment_kept=True)

    async def _used(self, head: Head, tenant: Tenant, token: str, next: str) -> Response:
        """Where the answer led: its login knows, and one that nobody asked for says."""
        if not token:
            return await self._consumer.used(head, tenant, next)
        login = self._desk.logins.of(head, tenant, token)
        return await self._consumer.used(head, tenant, login.next if login else None)

    async def _resume(self, head: Head, tenant: Tenant, token: str, next: str) -> Response:
        """The second attempt of a login, and the last: whatever is withheld or dropped on the way, nothing goes round.

        A login knows its own attempt; where there is none to know it, since an IdP loses the RelayState or the browser
        the cookie, another cookie does.
        """
        login = self._desk.logins.of(head, tenant, token) if token else None
        next = login.next if login else next
        if self._leaves_frame(head, tenant):
            return self._front.doorway.begin(head, tenant, next, fragment_kept=True)  # which is the way out of it
        cookies, retry = self._desk.cookies.all(head), login_path(tenant, next=next)
        if AGAIN not in cookies:
            raise Refusal(Code.LOGIN_EXPIRED, "the browser keeps no cookies of ours", retry=retry)
        entry = await self._desk.session(head)
        if login and entry and entry.tenant.slug == tenant.slug:
            return redirect(next)
        if entry and entry.tenant.slug != tenant.slug and not (login and self._replaces(head, login)):
            return self._front.ask_to_switch(head, entry, tenant, next)
        if login and login.attempt > 1:
            raise Refusal(Code.LOGIN_EXPIRED, "the login's cookie did not come back twice in a row", retry=next)
        if login is None and RESUMED in cookies:
            raise Refusal(
                Code.LOGIN_EXPIRED, "the IdP answers to no login of this browser, twice in a row", retry=retry
            )
        found = login.found if login else "address"
        response = self._desk.logins.start(head, tenant, next, found, attempt=2, instead_of=login)
        if login is None:
            marker = self._desk.cookies.within(head, tenant).write(RESUMED, "1", AGAIN_SECONDS)
            response.headers.append(*marker)
        return response

    def _leaves_frame(self, head: Head, tenant: Tenant) -> bool:
        """Whether all that a login can begin with is the way out of a frame."""
        return is_framed(head) and not self._desk.cookies.within(head, tenant).framed

    def _replaces(self, head: Head, login: Login) -> bool:
        """Whether the session that is there was there when the login began, and is to end with it."""
        session = self._desk.session_cookie(head)
        return session is not None and session_name(session) == login.over


def _found(said: str | None) -> Found:
    """For the launch's row alone: anybody can write it."""
    return next((found for found in FOUND_BEFORE if found == said), "address")
