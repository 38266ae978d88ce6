"""Single logout (SAML profiles 4.4), begun by the IdP or by the learner, through the browser.

    the IdP logs out      a signed LogoutRequest at /slo names a person; whatever sessions the person has here end,
                          whether or not this browser sent one's cookie, and a signed LogoutResponse goes back
    the learner logs out  the session ends here first; where the tenant wants it, the browser then carries a signed
                          LogoutRequest to the IdP and comes back to /slo with the IdP's signed LogoutResponse

The second's whole state is a signed cookie. Nothing is written, and nothing is obeyed, before a signature has held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

import structlog
from starlette.requests import Request
from starlette.responses import Response

from bridge.errors import Code, MetadataError, Refusal, SamlRefusal, StateError
from bridge.exchange import Head
from bridge.front.cookies import LOGOUT, SESSION
from bridge.front.desk import Desk
from bridge.front.judge import Judge
from bridge.front.refusals import redirect, respond
from bridge.front.requests import is_prefetched, language, navigates, posted_fields
from bridge.front.rules import Rules
from bridge.front.turns import Turns
from bridge.keys.custody import HeldKeys
from bridge.saml.logout import (
    LogoutAnswer,
    LogoutMessage,
    LogoutRequest,
    logout_request,
    logout_response,
)
from bridge.saml.model import Outgoing, OutgoingRequest
from bridge.session.names import AtIdp
from bridge.session.sessions import session_name
from bridge.session.tokens import Tokens
from bridge.settings.model import Tenant

MAX_FORM_BYTES = 64_000
LIFETIME_SECONDS = 15 * 60
LOGOUT_PATH = "/_bridge/logout"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Begun:
    """What the logout cookie says: which request of ours the IdP has to answer, and for which tenant."""

    tenant: str
    request_id: str


class SingleLogout:
    """Answers at `/_bridge/saml/{tenant}/slo` and `/_bridge/logout`. `rules` gives those in force."""

    def __init__(
        self, secrets: Sequence[str], desk: Desk, keys: HeldKeys, turns: Turns, judge: Judge, rules: Callable[[], Rules]
    ) -> None:
        self._state = Tokens(secrets, "logout")
        self._desk = desk
        self._keys = keys
        self._turns = turns
        self._judge = judge
        self._rules = rules

    async def slo(self, request: Request, head: Head, tenant: Tenant) -> Response:
        """A message from the tenant's IdP. Raises `Refusal`.

        An answer is not even parsed in a browser that began no logout. A request is anybody's to send until its
        signature has been looked at: the judge is one that leaves turns to the logins.
        """
        message = await _message(request)
        begun = self._begun(head, tenant)
        if message.kind == "SAMLResponse" and begun is None:
            raise Refusal(Code.LOGIN_EXPIRED, "the IdP answers a logout that this browser did not begin, or long ago")
        said = await self._judge.read_logout(message, tenant)
        if isinstance(said, LogoutRequest):
            return await self._obey(head, tenant, said)
        return self._conclude(head, tenant, said, begun)

    async def logout(self, request: Request, head: Head) -> Response:
        """End the session here, then the IdP's own where the tenant says so.

        A form of another site comes without the session's cookie, so it goes round by a request that has it. Only a
        window or frame being filled goes on to the IdP: what a page loads within itself could not come back. A link
        that a browser follows ahead of its time ends nothing, and 503 keeps the answer from being shown at the click.
        """
        if is_prefetched(head):
            return Response(None, 503, {"Cache-Control": "no-store"})
        ended = None
        if cookie := self._desk.session_cookie(head):
            ended = await self._desk.sessions.end(cookie)
        elif request.method == "POST" and head.get(b"sec-fetch-site") == b"cross-site":
            return redirect(LOGOUT_PATH)
        dropped = self._dropped(head)
        if ended and request.method != "HEAD" and navigates(head) and self._rules().is_login_place(head, ended.tenant):
            return await self._ask_idp(head, ended, dropped)
        return self._logged_out(head, ended.tenant if ended else None, dropped)

    async def _ask_idp(self, head: Head, ended: AtIdp, dropped: list[tuple[str, str]]) -> Response:
        tenant = ended.tenant
        try:
            asked = await self._turns.take(partial(self._request, ended))
        except (MetadataError, StateError) as error:
            log.warning("idp_logout_not_sent", tenant=tenant.slug, reason=str(error))
            return self._logged_out(head, tenant, dropped)
        state = self._state.dump(asdict(Begun(tenant.slug, asked.id)))
        kept = self._desk.cookies.within(head, tenant).write(LOGOUT, state, LIFETIME_SECONDS, "None")
        return self._send(head, tenant, asked.send, [*dropped, kept])

    def _request(self, ended: AtIdp) -> OutgoingRequest:
        tenant, now, key = ended.tenant, datetime.now(UTC), self._keys.signing(ended.tenant)
        return logout_request(tenant.provider, tenant.party, ended.name, ended.session_index, key, None, now)

    async def _obey(self, head: Head, tenant: Tenant, request: LogoutRequest) -> Response:
        """End what the IdP wants ended and tell it so. Somebody whom we do not know is logged out already.

        The cookie is dropped only where its own session ended: with a request for themselves, which their IdP gladly
        signs, people could otherwise log others out.
        """
        try:
            ended, obeyed = await self._desk.sessions.end_by_idp(tenant, request), True
        except StateError as error:
            log.warning("idp_logout_failed", tenant=tenant.slug, reason=str(error))
            ended, obeyed = frozenset[str](), False
        log.info("idp_logout_received", tenant=tenant.slug, sessions=len(ended), obeyed=obeyed)
        cookie = self._desk.session_cookie(head)
        dropped = self._dropped(head) if cookie and session_name(cookie) in ended else []
        try:
            answer = await self._turns.take(partial(self._answer, tenant, request, obeyed))
        except (MetadataError, StateError) as error:
            log.warning("idp_logout_not_answered", tenant=tenant.slug, reason=str(error))
            return self._logged_out(head, tenant, dropped)
        return self._send(head, tenant, answer, dropped)

    def _answer(self, tenant: Tenant, request: LogoutRequest, obeyed: bool) -> Outgoing:
        return logout_response(
            tenant.provider,
            tenant.party,
            request.id,
            self._keys.signing(tenant),
            request.relay_state,
            request.binding,
            datetime.now(UTC),
            success=obeyed,
        )

    def _conclude(self, head: Head, tenant: Tenant, answer: LogoutAnswer, begun: Begun | None) -> Response:
        """The end of a logout that began here. The cookie stays, so that a reload shows the same page again."""
        if begun is None or answer.in_response_to != begun.request_id:
            raise SamlRefusal(
                Code.SAML_REJECTED, "in_response_to", "the LogoutResponse answers another request than this browser's"
            )
        return self._logged_out(head, tenant, elsewhere=answer.success)

    def _begun(self, head: Head, tenant: Tenant) -> Begun | None:
        """The logout that this browser began with the tenant, if it did so lately."""
        begun = self._state.read(Begun, self._desk.cookies.all(head).get(LOGOUT), LIFETIME_SECONDS)
        return begun if begun and begun.tenant == tenant.slug else None

    def _dropped(self, head: Head) -> list[tuple[str, str]]:
        """The Set-Cookies that end the session's cookie, of a frame's own too."""
        return [self._desk.cookies.drop(SESSION), *self._desk.cookies.drops_framed(head, SESSION)]

    def _send(self, head: Head, tenant: Tenant, message: Outgoing, cookies: Sequence[tuple[str, str]]) -> Response:
        if message.fields is None:
            return redirect(message.url, headers=cookies)
        page = self._desk.pages.of(tenant).post_form(
            language=language(head),
            action=message.url,
            fields=message.fields,
            purpose="logout",
            framed=True,  # IdPs log their many parties out in frames, and the form asks nothing of anybody
        )
        return respond(page, headers=cookies)

    def _logged_out(
        self,
        head: Head,
        tenant: Tenant | None,
        cookies: Sequence[tuple[str, str]] = (),
        *,
        elsewhere: bool | None = None,
    ) -> Response:
        page = self._desk.pages.of(tenant).logged_out(language=language(head), sign_in="/", elsewhere=elsewhere)
        return respond(page, headers=cookies)


async def _message(request: Request) -> LogoutMessage:
    """The message as it came, by either binding. Raises `Refusal` (`saml_malformed`)."""
    if request.method == "POST":
        return LogoutMessage.from_form(await posted_fields(request, MAX_FORM_BYTES))
    return LogoutMessage.from_query(request.scope["query_string"])
