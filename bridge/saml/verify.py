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
from bridge.saml.steps import At, Progress, Step


def verify(
    saml_response: str | bytes, expectation: Expectation, *, now: datetime, progress: Progress | None = None
) -> Assertion:
    """The assertion of a base64-encoded SAMLResponse; raises `SamlRefusal` and nothing else.

    `progress` hears of each step as it is begun.

    `now` has a time zone. Synchronous, some milliseconds of CPU, and safe to call from several threads at once. Whether
    the assertion has been used before is for the caller to ask: until `Assertion.expires` its id must be remembered.
    """
    with judging("response"):
        return _verify(saml_response, expectation, Clock(now, expectation.clock_skew), (progress or Progress()).at)


def _verify(saml_response: str | bytes, expectation: Expectation, clock: Clock, at: At) -> Assertion:
    at(Step.READ)
    root = open_response(saml_response)
    at(Step.STATUS)
    check_status(root)
    at(Step.SHAPE)
    assertion = check_shape(root)
    at(Step.PROFILE)
    sha1, certificates = expectation.accept_sha1, expectation.provider.certificates
    of_response = read_profile(root, accept_sha1=sha1)
    of_assertion = read_profile(assertion, accept_sha1=sha1)
    signed, encrypted = of_response is not None, assertion.tag == ENCRYPTED_ASSERTION
    if encrypted:
        read_encryption(assertion, response_signed=signed)
    at(Step.SIGNED)
    _check_signed(signed, of_assertion is not None or encrypted, expectation.signed)
    at(Step.SCHEMA)
    check_schema(root)
    response = root
    if of_response:
        at(Step.RESPONSE_SIGNATURE)
        response = verified(root, of_response, certificates)
    check_response(response, expectation, clock, at, signed=signed)
    if encrypted:
        at(Step.DECRYPTION)
        assertion = _opened_in_place(response, expectation, typing_namespaces(assertion), signed=signed)
        of_assertion = read_profile(assertion, accept_sha1=sha1)
        _check_signed(signed, of_assertion is not None, expectation.signed)
    if of_assertion:
        at(Step.ASSERTION_SIGNATURE)
        return _read(verified(assertion, of_assertion, certificates), expectation, clock, at)
    return _read(check_shape(response), expectation, clock, at)


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
            *there,
        )


def _read(assertion: etree._Element, expectation: Expectation, clock: Clock, at: At) -> Assertion:
    expires = check_assertion(assertion, expectation, clock, at)
    at(Step.AUTHENTICATION)
    authenticated, session_index, session_end = read_authentication(assertion, clock)
    issued = instant(assertion, "IssueInstant")
    at(Step.NAME_ID)
    subject = read_name_id(assertion)
    at(Step.ATTRIBUTES)
    return Assertion(
        id=assertion.get("ID", ""),
        issuer=expectation.provider.entity_id,
        subject=subject,
        attributes=read_attributes(assertion),
        issued=issued or clock.now,
        authn_instant=authenticated,
        session_index=session_index,
        session_not_on_or_after=session_end,
        expires=expires,
        in_response_to=expectation.request_id,
    )
