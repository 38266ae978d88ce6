"""Where a login begins: what stands between a link and the IdP's page.

    in a frame         IdPs refuse to be framed, and browsers keep our cookies out of a frame of another site: unless
                       the tenant signs in within frames, the link is offered once more, for a tab of its own
    with a fragment    a browser keeps the `#fragment` of a link to itself: a deployment that needs it has a page with
                       a script hand it on
    otherwise          off to the IdP, or to the page that asks for the organisation

Whoever comes here has no session that counts.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from bridge.errors import Code
from bridge.exchange import Head
from bridge.front.desk import Desk
from bridge.front.logins import organizations_path
from bridge.front.refusals import redirect, respond
from bridge.front.requests import is_framed, is_page_load, language
from bridge.front.rules import Rules
from bridge.front.targets import quoted
from bridge.launches.trail import Found
from bridge.settings.model import Tenant


class Doorway:
    """The only way in which a login begins from a link. `rules` gives those in force."""

    def __init__(self, desk: Desk, rules: Callable[[], Rules]) -> None:
        self._desk = desk
        self._rules = rules

    def begin(
        self, head: Head, tenant: Tenant, next: str, found: Found = "address", *, fragment_kept: bool = False
    ) -> Response:
        """Sign in with the tenant, to arrive at `next`, a validated path on the origin that has the tenant's ACS.

        `found` says how the tenant was found.

        `fragment_kept` says that `next` has its fragment already: so the login endpoint says always, whose address
        names the whole of where it leads, and nothing goes round.
        """
        if is_framed(head) and not self._desk.cookies.within(head, tenant).framed:
            return self.break_out(head, self.same_link(head, tenant, next), tenant)
        if self._rules().keeps_fragments and not fragment_kept:
            return self.keep_fragment(head, tenant, next, found)
        return self._desk.logins.start(head, tenant, next, found)

    def ask(self, head: Head, next: str) -> Response:
        """Let a person say which organisation: nothing in the request does."""
        if is_framed(head):
            return self.break_out(head, next)
        if self._rules().keeps_fragments:
            return self.keep_fragment(head, None, next)
        return redirect(organizations_path(next))

    def keep_fragment(self, head: Head, tenant: Tenant | None, next: str, found: Found = "address") -> Response:
        """The page that goes on by script, the fragment of its own address added to `next`."""
        known = {"found": found} if found != "address" else {}
        login = self._rules().login_url(tenant, next=next, **known) if tenant else organizations_path(next)
        return respond(self._desk.pages.of(tenant).keep_fragment(language=language(head), login=login))

    def break_out(self, head: Head, link: str, tenant: Tenant | None = None) -> Response:
        """The page, for a frame, that offers the link for a tab of its own.

        401 where the contract has no page load, in a `frame` or an `embed`: browsers show the page there all the same.
        """
        pages, keeps = self._desk.pages.of(tenant), self._rules().keeps_fragments
        page = pages.break_out(language=language(head), link=link, keep_fragment=keeps)
        if is_page_load(head):
            return respond(page)
        return respond(page, Code.LOGIN_REQUIRED.status, [("Bridge-Error", Code.LOGIN_REQUIRED)])

    def same_link(self, head: Head, tenant: Tenant, next: str) -> str:
        """The link that was followed, which names the tenant as it did and may find a session in a tab of its own.

        Where it does not survive whole, or asked for a login itself, the tenant's login.
        """
        return next if next == quoted(head.target) else self._rules().login_url(tenant, next=next)
