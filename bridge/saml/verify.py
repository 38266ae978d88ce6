"""A SAML response to the assertion in it, or a refusal.

The order is: size and parsing, status, shape, the profiles of signatures and encryption, schema, the response's
signature and what the response says; then, where the assertion is encrypted, decryption, and for what comes out shape,
schema and profile once more; then the assertion's signature, and the rules on the bytes that were signed. Nothing that
costs more than time linear in the message happens before both profiles have passed.
"""

from __future__ import annotations

from datetime import datetime

from lxml import etree

from bridge.saml.encryption import opened, read_encryption, typing_namespaces
from bridge.saml.guard import ENCRYPTED_ASSERTION, check_schema, check_shape, check_status, open_response
from bridge.saml.model import Assertion, Expectation, Signed
from bridge.saml.profile import read_profile
from bridge.saml.refusals import judging, rejected
from bridge.saml.rules import Clock, check_assertion, check_response, instant
from bridge.saml.signature import verified
from bridge.saml.statements import read_attributes, read_authentication, read_name_id


def verify(saml_response: str | bytes, expectation: Expectation, *, now: datetime) -> Assertion:
    """The assertion of a base64-encoded SAMLResponse; raises `SamlRefusal` and nothing else.

    `now` has a time zone. Synchronous, some milliseconds of CPU, and safe to call from several threads at once. Whether
    the assertion has been used before is for the caller to ask: until `Assertion.expires` its id must be remembered.
    """
    with judging("response"):
        return _verify(saml_response, expectation, Clock(now, expectation.clock_skew))


def _verify(saml_response: str | bytes, expectation: Expectation, clock: Clock) -> Assertion:
    root = open_response(saml_response)
    check_status(root)
    assertion = check_shape(root)
    sha1, certificates = expectation.accept_sha1, expectation.provider.certificates
    of_response = read_profile(root, accept_sha1=sha1)
    of_assertion = read_profile(assertion, accept_sha1=sha1)
    signed, encrypted = of_response is not None, assertion.tag == ENCRYPTED_ASSERTION
    if encrypted:
        read_encryption(assertion, response_signed=signed)
    _check_signed(signed, of_assertion is not None or encrypted, expectation.signed)
    check_schema(root)
    response = verified(root, of_response, certificates) if of_response else root
    check_response(response, expectation, clock, signed=signed)
    if encrypted:
        assertion = _opened_in_place(response, expectation, typing_namespaces(assertion), signed=signed)
        of_assertion = read_profile(assertion, accept_sha1=sha1)
        _check_signed(signed, of_assertion is not None, expectation.signed)
    if of_assertion:
        return _read(verified(assertion, of_assertion, certificates), expectation, clock)
    return _read(check_shape(response), expectation, clock)


def _opened_in_place(
    response: etree._Element, expectation: Expectation, typing: dict[str | None, str], *, signed: bool
) -> etree._Element:
    """The assertion, put where it stood encrypted, so that the whole response is once more judged like a plain one.

    The ciphertext is read from `response`: if that is signed, from the signed bytes.
    """
    encrypted = check_shape(response)
    sealed = read_encryption(encrypted, response_signed=signed)
    assertion = opened(sealed, expectation.keys, typing | encrypted.nsmap)
    response.replace(encrypted, assertion)
    check_shape(response)
    check_schema(response)
    return assertion


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
