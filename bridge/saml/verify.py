"""A SAML response to the assertion in it, or a refusal.

The order is: size and parsing, status, shape, signature profile, schema, signature, then the profile's rules on the
bytes that were signed. Nothing that costs more than time linear in the message happens before the signature profile has
passed.
"""

from __future__ import annotations

from datetime import datetime

from lxml import etree

from bridge.errors import SamlRefusal
from bridge.saml.guard import check_schema, check_shape, check_status, open_response
from bridge.saml.model import Assertion, Expectation, Signed
from bridge.saml.profile import read_profile
from bridge.saml.refusals import rejected
from bridge.saml.rules import Clock, check_assertion, check_response, instant
from bridge.saml.signature import verified
from bridge.saml.statements import read_attributes, read_authentication, read_name_id


def verify(saml_response: str | bytes, expectation: Expectation, *, now: datetime) -> Assertion:
    """The assertion of a base64-encoded SAMLResponse; raises `SamlRefusal` and nothing else.

    `now` has a time zone. Synchronous, some milliseconds of CPU, and safe to call from several threads at once. Whether
    the assertion has been used before is for the caller to ask: until `Assertion.expires` its id must be remembered.
    """
    try:
        return _verify(saml_response, expectation, Clock(now, expectation.clock_skew))
    except SamlRefusal:
        raise
    except Exception as error:
        raise rejected("internal", f"the response could not be judged: {type(error).__name__}") from error


def _verify(saml_response: str | bytes, expectation: Expectation, clock: Clock) -> Assertion:
    root = open_response(saml_response)
    check_status(root)
    original = check_shape(root)
    of_response, of_assertion = read_profile(root), read_profile(original)
    _check_signed(of_response is not None, of_assertion is not None, expectation.signed)
    check_schema(root)
    certificates = expectation.provider.certificates
    response = verified(root, of_response, certificates) if of_response else root
    check_response(response, expectation, clock, signed=of_response is not None)
    if of_assertion:
        return _read(verified(original, of_assertion, certificates), expectation, clock)
    return _read(check_shape(response), expectation, clock)


def _check_signed(response: bool, assertion: bool, wanted: Signed) -> None:
    """Whether the signatures that are there are those that the tenant wants; whether they hold comes later."""
    enough = {
        "any": response or assertion,
        "response": response,
        "assertion": assertion,
        "both": response and assertion,
    }
    if not enough[wanted]:
        there = [name for name, signed in (("response", response), ("assertion", assertion)) if signed]
        raise rejected(
            "signature_missing",
            f"signed: {' and '.join(there) or 'nothing'}; the tenant's setting `signed` wants: {wanted}",
        )


def _read(assertion: etree._Element, expectation: Expectation, clock: Clock) -> Assertion:
    expires = check_assertion(assertion, expectation, clock)
    authenticated, session_index, session_end = read_authentication(assertion, clock)
    issued = instant(assertion, "IssueInstant")
    return Assertion(
        id=assertion.get("ID", ""),
        issuer=expectation.provider.entity_id,
        subject=read_name_id(assertion),
        attributes=read_attributes(assertion),
        issued=issued or clock.now,
        authn_instant=authenticated,
        session_index=session_index,
        session_not_on_or_after=session_end,
        expires=expires,
        in_response_to=expectation.request_id,
    )
