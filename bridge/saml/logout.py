"""Single logout (SAML core 3.7, profiles 4.4): its two messages, sent and received, never without a signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lxml import etree

from bridge.errors import MetadataError
from bridge.saml.document import children, tag, text
from bridge.saml.guard import MAX_ID, SUCCESS
from bridge.saml.model import (
    Binding,
    Endpoint,
    IdentityProvider,
    Kind,
    NameId,
    Outgoing,
    OutgoingRequest,
    ServiceProvider,
    SpKey,
)
from bridge.saml.post import SignedForm
from bridge.saml.redirect import SignedQuery
from bridge.saml.refusals import judging, quoted, rejected
from bridge.saml.rules import MAX_AGE, Clock, check_issuer, check_message, instant
from bridge.saml.sending import add, check_relay_state, instant_text, new_message, send
from bridge.saml.statements import check_session_index, name_id_in

LIFETIME = timedelta(minutes=5)
MAX_SESSION_INDEXES = 100

_RESPONDER = "urn:oasis:names:tc:SAML:2.0:status:Responder"
_ROOTS = {"SAMLRequest": "samlp:LogoutRequest", "SAMLResponse": "samlp:LogoutResponse"}


@dataclass(frozen=True, slots=True)
class LogoutMessage:
    """A message as it came to the SLO address: nothing in it is verified, and no XML in it was parsed."""

    carried: SignedQuery | SignedForm

    @property
    def kind(self) -> Kind:
        """Which parameter it came in: whether it claims to be a request or an answer."""
        return self.carried.kind

    @classmethod
    def from_query(cls, query: bytes) -> LogoutMessage:
        """From the raw query of a URL (HTTP-Redirect); raises `SamlRefusal`."""
        with judging("query"):
            return cls(SignedQuery.read(query))

    @classmethod
    def from_form(cls, fields: Mapping[str, str]) -> LogoutMessage:
        """From a form (HTTP-POST) each of whose fields came once; raises `SamlRefusal`."""
        with judging("form"):
            return cls(SignedForm.read(fields))


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """The IdP says that somebody logged out: of the sessions with those indexes, or of all if there are none (3.7.1).

    `issued` is by the IdP's clock. Until `expires` the `id` must be remembered as used. `relay_state` goes back with
    the answer as it is, by the `binding` that the request came by where the IdP takes answers so.
    """

    id: str
    subject: NameId
    session_indexes: tuple[str, ...]
    relay_state: str | None
    binding: Binding
    issued: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class LogoutAnswer:
    """What the IdP says to a logout that was begun here; `success` is whether it ended its own session."""

    in_response_to: str | None
    success: bool
    relay_state: str | None


def read_logout(
    message: LogoutMessage,
    provider: IdentityProvider,
    party: ServiceProvider,
    *,
    now: datetime,
    clock_skew: timedelta,
    accept_sha1: bool = False,
) -> LogoutRequest | LogoutAnswer:
    """What a message says, signed by the IdP; raises `SamlRefusal` and nothing else.

    `now` has a time zone. Synchronous, at most some milliseconds of CPU, and safe to call from several threads. Whether
    a request has been seen before, and whether an answer was waited for, is for the caller to ask.
    """
    with judging("logout message"):
        carried = message.carried
        root = carried.open(_ROOTS[carried.kind], provider.certificates, accept_sha1=accept_sha1)
        clock = Clock(now, clock_skew)
        _check_envelope(root, provider, party, clock)
        if carried.kind == "SAMLResponse":
            return _read_answer(root, carried.relay_state)
        return _read_request(root, carried, clock)


def logout_request(
    provider: IdentityProvider,
    party: ServiceProvider,
    subject: NameId,
    session_index: str | None,
    key: SpKey,
    relay_state: str | None,
    now: datetime,
) -> OutgoingRequest:
    """Tells the IdP that somebody logs out; by HTTP-Redirect where it can be.

    `relay_state` has at most 80 bytes, else `ValueError`. Raises `MetadataError` where the IdP has no address for it.
    """
    if relay_state is not None:
        check_relay_state(relay_state)
    endpoint = _endpoint(provider, "redirect")
    message = new_message("samlp:LogoutRequest", party, endpoint.url, now)
    message.set("NotOnOrAfter", instant_text(now + LIFETIME))
    qualifiers = {
        "NameQualifier": subject.name_qualifier,
        "SPNameQualifier": subject.sp_name_qualifier,
        "Format": subject.format,
    }
    add(message, "saml:NameID", subject.value, **{name: value for name, value in qualifiers.items() if value})
    if session_index:
        add(message, "samlp:SessionIndex", session_index)
    sent = send(message, "SAMLRequest", endpoint.binding, endpoint.url, relay_state, key)
    return OutgoingRequest(message.get("ID", ""), sent)


def logout_response(
    provider: IdentityProvider,
    party: ServiceProvider,
    in_response_to: str,
    key: SpKey,
    relay_state: str | None,
    binding: Binding,
    now: datetime,
    *,
    success: bool = True,
) -> Outgoing:
    """The answer to the IdP's request, by `binding` where the IdP takes answers so, else by the other one.

    `relay_state` is what came with the request. Raises `MetadataError` where the IdP has no address for it.
    """
    endpoint = _endpoint(provider, binding)
    message = new_message("samlp:LogoutResponse", party, endpoint.answers, now)
    message.set("InResponseTo", in_response_to)
    add(add(message, "samlp:Status"), "samlp:StatusCode", Value=SUCCESS if success else _RESPONDER)
    return send(message, "SAMLResponse", endpoint.binding, endpoint.answers, relay_state, key)


def _endpoint(provider: IdentityProvider, preferred: Binding) -> Endpoint:
    offered = sorted(provider.logout, key=lambda endpoint: endpoint.binding != preferred)
    if not offered:
        raise MetadataError("the IdP's metadata offers no SingleLogoutService by HTTP-Redirect or HTTP-POST")
    return offered[0]


def _check_envelope(root: etree._Element, provider: IdentityProvider, party: ServiceProvider, clock: Clock) -> None:
    """What both messages say of themselves (3.2.1, 3.2.2); a Destination is required, since both are always signed."""
    name = etree.QName(root).localname
    check_message(root, clock)
    check_issuer(root.find(tag("saml:Issuer")), provider.entity_id, name)
    destination = root.get("Destination")
    if destination != party.slo or not party.slo:
        raise rejected("destination", f"the {name}'s Destination is {quoted(destination)}, not {quoted(party.slo)}")


def _read_request(root: etree._Element, carried: SignedQuery | SignedForm, clock: Clock) -> LogoutRequest:
    subject = name_id_in(root)
    if subject is None:
        raise rejected("name_id", "the LogoutRequest names nobody: it has no NameID, or an empty one")
    issued = instant(root, "IssueInstant") or clock.now
    return LogoutRequest(
        id=root.get("ID", ""),
        subject=subject,
        session_indexes=_session_indexes(root),
        relay_state=carried.relay_state,
        binding=carried.binding,
        issued=issued,
        expires=_end(root, issued, clock),
    )


def _session_indexes(root: etree._Element) -> tuple[str, ...]:
    """An empty one is refused, not dropped: without any, the request would be for all sessions."""
    indexes = [text(element) for element in children(root, "samlp:SessionIndex")]
    if len(indexes) > MAX_SESSION_INDEXES:
        raise rejected("session_index", f"the LogoutRequest has more than {MAX_SESSION_INDEXES} SessionIndexes")
    for index in indexes:
        if not index:
            raise rejected("session_index", "the LogoutRequest has an empty SessionIndex")
        check_session_index(index)
    return tuple(dict.fromkeys(indexes))


def _end(root: etree._Element, issued: datetime, clock: Clock) -> datetime:
    """After which it is refused as too old, the clock skew included."""
    end = instant(root, "NotOnOrAfter")
    if end is not None and clock.over(end):
        raise rejected("not_on_or_after", f"the LogoutRequest is valid until {end}; it is {clock.now} here")
    too_old = issued + MAX_AGE
    return (too_old if end is None else min(too_old, end)) + clock.skew


def _read_answer(root: etree._Element, relay_state: str | None) -> LogoutAnswer:
    answered = root.get("InResponseTo")
    if answered is not None and len(answered) > MAX_ID:
        raise rejected("in_response_to", f"the LogoutResponse's InResponseTo is longer than {MAX_ID} characters")
    code = root.find(f"{tag('samlp:Status')}/{tag('samlp:StatusCode')}")
    return LogoutAnswer(answered, code is not None and code.get("Value") == SUCCESS, relay_state)
