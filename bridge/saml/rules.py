"""The rules of the Web Browser SSO profile for a response and its assertion (SAML profiles 4.1.4.2 and 4.1.4.3).

Every comparison is of whole, exact strings against settings; nothing is compared with what the request said about
itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lxml import etree

from bridge.errors import SamlRefusal
from bridge.saml.document import children, tag, text
from bridge.saml.model import Expectation
from bridge.saml.refusals import quoted, rejected
from bridge.saml.steps import At, Step

MAX_AGE = timedelta(hours=1)
MAX_CONFIRMATION = timedelta(hours=24)
UNSIGNED = "unsigned"
"""Stands behind what was found in an element that nobody had signed."""
UNSOLICITED = "unsolicited"
"""The check that an answer nobody asked for fails: whoever sent it may be sent to ask."""

_ENTITY_FORMAT = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_AUDIENCES = tag("saml:AudienceRestriction")
_CONDITIONS = {_AUDIENCES, tag("saml:OneTimeUse"), tag("saml:ProxyRestriction")}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Our time, and how far the IdP's may be from it."""

    now: datetime
    skew: timedelta

    def begun(self, instant: datetime) -> bool:
        return instant <= self.now + self.skew

    def over(self, instant: datetime) -> bool:
        return instant <= self.now - self.skew


def instant(element: etree._Element, name: str) -> datetime | None:
    """A time attribute (SAML core 1.3.3), None where it is absent. A time without a zone is refused, not guessed."""
    value = element.get(name)
    if value is None:
        return None
    try:
        if not _INSTANT.fullmatch(value.strip()):
            raise ValueError(value)
        return datetime.fromisoformat(value.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise rejected("time", f"{name} is {quoted(value)}, not a time in UTC") from None


def compare_clocks(verified: etree._Element, clock: Clock) -> str:
    """What a verified element's IssueInstant says about the two clocks, so that nobody raises `clock_skew` blindly.

    An instant in the future measures the IdP's clock. One in the past does not: the message may have been held back.
    """
    apart = (instant(verified, "IssueInstant") or clock.now) - clock.now
    if apart > timedelta():
        said = f"the IdP's clock is at least {_length(apart)} ahead of ours"
    else:
        said = f"by the IdP's clock it was issued {_length(-apart)} ago"
    return f"{said}, and clock_skew allows {_length(clock.skew)}; set the clocks right before you raise it"


def _length(span: timedelta) -> str:
    """A time span in the unit in which people would say it."""
    seconds = int(span.total_seconds())
    for unit, size in (("days", 24 * 3600), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def check_response(response: etree._Element, expectation: Expectation, clock: Clock, at: At, *, signed: bool) -> None:
    """What stands in the response around the assertion; raises `SamlRefusal`."""
    at(Step.RESPONSE_TIME)
    check_message(response, clock, signed=signed)
    issuer = response.find(tag("saml:Issuer"))
    if issuer is not None or signed:
        at(Step.RESPONSE_ISSUER)
        check_issuer(issuer, expectation.provider.entity_id, "response")
    at(Step.DESTINATION)
    destination, acs = response.get("Destination"), expectation.acs
    if destination != acs and (destination is not None or signed):
        reason = f"the response's Destination is {quoted(destination)}, not {quoted(acs)}"
        raise rejected("destination", reason, destination)
    at(Step.ANSWERED)
    if expectation.request_id is not None and response.get("InResponseTo") is None:
        raise rejected(UNSOLICITED, f"the response answers no request, while {quoted(expectation.request_id)} is open")
    _check_answers(response, expectation)


def check_assertion(assertion: etree._Element, expectation: Expectation, clock: Clock, at: At) -> datetime:
    """What the assertion says about its own use; raises `SamlRefusal`.

    Returns the moment after which it is refused as too old, the clock skew included.
    """
    at(Step.ASSERTION_TIME)
    check_message(assertion, clock)
    at(Step.ASSERTION_ISSUER)
    check_issuer(assertion.find(tag("saml:Issuer")), expectation.provider.entity_id, "assertion")
    at(Step.SUBJECT)
    confirmed = _check_confirmations(assertion, expectation, clock)
    at(Step.CONDITIONS)
    conditions = _check_conditions(assertion, expectation, clock)
    at(Step.AUDIENCE)
    _check_audience(assertion, expectation.party.entity_id)
    return min(confirmed, conditions, _LATEST) + clock.skew


def check_message(element: etree._Element, clock: Clock, *, signed: bool = True) -> None:
    """Version and IssueInstant, which every message and assertion has (SAML core 2.3.3, 3.2).

    `signed`: whether the element has been verified, and so measures the clock of whoever signed it.
    """
    name = etree.QName(element).localname
    if element.get("Version") != "2.0":
        raise rejected("version", f"the {name}'s Version is {quoted(element.get('Version'))}, not 2.0")
    issued = instant(element, "IssueInstant")
    if issued is None or not clock.begun(issued) or issued < clock.now - MAX_AGE:
        unsigned = "nobody has signed that, so it says nothing about the IdP's clock"
        raise rejected(
            "issue_instant",
            f"the {name} was issued at {issued}, which is in the future or more than an hour ago; it is {clock.now}"
            f" here: {compare_clocks(element, clock) if signed else unsigned}",
            issued.isoformat() if issued else None,
            None if signed else UNSIGNED,
        )


def check_issuer(issuer: etree._Element | None, expected: str, where: str) -> None:
    """It is exactly the configured IdP (SAML core 2.2.5)."""
    if text(issuer) != expected or not expected:
        reason = f"the {where}'s Issuer is {quoted(text(issuer))}, not {quoted(expected)}"
        raise rejected("issuer", reason, text(issuer))
    if issuer is not None and issuer.get("Format", _ENTITY_FORMAT) != _ENTITY_FORMAT:
        raise rejected("issuer", f"the {where}'s Issuer has the Format {quoted(issuer.get('Format'))}")


def _check_answers(element: etree._Element, expectation: Expectation) -> None:
    answered, asked = element.get("InResponseTo"), expectation.request_id
    if answered != asked:
        name = etree.QName(element).localname
        raise rejected("in_response_to", f"the {name} answers {quoted(answered)}, but {quoted(asked)} was asked")


def _check_confirmations(assertion: etree._Element, expectation: Expectation, clock: Clock) -> datetime:
    """One bearer confirmation has to fit (4.1.4.3). Returns the end of the one that ends last.

    Not the end of the one that fits: another may let the same assertion in later, and until then it must be remembered.
    """
    subject = assertion.find(tag("saml:Subject"))
    if subject is None:
        raise rejected("subject", "the assertion has no Subject")
    if expectation.request_id is None:  # then it answers nobody, in none of its confirmations
        for data in subject.iter(tag("saml:SubjectConfirmationData")):
            _check_answers(data, expectation)
    bearers = [found for found in children(subject, "saml:SubjectConfirmation") if found.get("Method") == _BEARER]
    failures: list[SamlRefusal] = []
    for bearer in bearers:
        try:
            _check_confirmation(assertion, bearer, expectation, clock)
        except SamlRefusal as refusal:
            failures.append(refusal)
    if not bearers:
        raise rejected("subject_confirmation", "the assertion has no SubjectConfirmation with the bearer method")
    if len(failures) == len(bearers):
        raise failures[0]
    every = [found for bearer in bearers for found in children(bearer, "saml:SubjectConfirmationData")]
    return max(end for found in every if (end := instant(found, "NotOnOrAfter")) is not None)


def _check_confirmation(
    assertion: etree._Element, bearer: etree._Element, expectation: Expectation, clock: Clock
) -> None:
    data = bearer.find(tag("saml:SubjectConfirmationData"))
    if data is None:
        raise rejected("subject_confirmation", "the bearer SubjectConfirmation has no SubjectConfirmationData")
    recipient, acs = data.get("Recipient"), expectation.acs
    if recipient != acs:
        reason = f"the assertion's Recipient is {quoted(recipient)}, not {quoted(acs)}"
        raise rejected("recipient", reason, recipient)
    if data.get("NotBefore") is not None:
        raise rejected(
            "confirmation_not_before", "the bearer SubjectConfirmationData has a NotBefore, which is forbidden"
        )
    end = instant(data, "NotOnOrAfter")
    if end is None or clock.over(end) or end > clock.now + MAX_CONFIRMATION:
        raise rejected(
            "confirmation_not_on_or_after",
            f"the SubjectConfirmationData's NotOnOrAfter is {end}: it must be there, not over, and at most 24 hours"
            f" ahead; it is {clock.now} here: {compare_clocks(assertion, clock)}",
            assertion.get("IssueInstant"),
        )
    _check_answers(data, expectation)


def _check_conditions(assertion: etree._Element, expectation: Expectation, clock: Clock) -> datetime:
    conditions = assertion.find(tag("saml:Conditions"))
    if conditions is None:
        raise rejected("conditions", "the assertion has no Conditions")
    begin, end = instant(conditions, "NotBefore"), instant(conditions, "NotOnOrAfter")
    if begin is not None and not clock.begun(begin):
        raise rejected(
            "conditions_not_before",
            f"the assertion is valid from {begin}; it is {clock.now} here: {compare_clocks(assertion, clock)}",
            assertion.get("IssueInstant"),
        )
    if end is None or clock.over(end):
        raise rejected(
            "conditions_not_on_or_after",
            f"the assertion is valid until {end}; it is {clock.now} here: {compare_clocks(assertion, clock)}",
            assertion.get("IssueInstant"),
        )
    for condition in conditions:
        if condition.tag not in _CONDITIONS:
            raise rejected(
                "condition_unknown", f"the assertion has a condition that we do not know: {quoted(condition.tag)}"
            )
    return end


def _check_audience(assertion: etree._Element, entity_id: str) -> None:
    """Several audiences are alternatives, several restrictions are not (SAML core 2.5.1.4)."""
    every = children(assertion, "saml:Conditions")
    restrictions = [found for conditions in every for found in children(conditions, "saml:AudienceRestriction")]
    if not restrictions:
        raise rejected("audience", f"the assertion names no audience; it must name {quoted(entity_id)}")
    for restriction in restrictions:
        audiences = [text(audience) for audience in children(restriction, "saml:Audience")]
        if entity_id not in audiences:
            shown = ", ".join(map(quoted, audiences[:3])) or "nobody"
            raise rejected("audience", f"the assertion is for {shown}, not for {quoted(entity_id)}", *audiences[:3])
