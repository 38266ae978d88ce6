"""What a response says of itself, whoever wrote it.

The service never reads a response like this: it stops at the first rule that is broken. Here it is read on, so that an
operator can be told what stands there instead. Nothing of it may decide who somebody is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from lxml import etree

from bridge.errors import SamlRefusal
from bridge.saml.document import children, tag, text
from bridge.saml.encryption import opened, read_encryption, typing_namespaces
from bridge.saml.fingerprints import base64_of, claimed
from bridge.saml.guard import ENCRYPTED_ASSERTION, open_response
from bridge.saml.model import Assertion, Attribute, NameId, SpKey
from bridge.saml.refusals import judging
from bridge.saml.rules import instant
from bridge.saml.statements import read_attributes, read_name_id

MOST = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said:
    """One response, unverified. `signatures` are the fingerprints of the certificates that each shows, by element;
    `encrypted_for` those of the certificates for which the assertion was encrypted; `readable` whether there is one
    that is not, or could be opened.
    """

    issued: datetime | None
    request_id: str | None
    destination: str | None
    issuers: Sequence[str]
    recipients: Sequence[str]
    audiences: Sequence[str]
    signatures: dict[str, tuple[str, ...]]
    encrypted: bool
    readable: bool
    encrypted_for: Sequence[str]
    name_id: NameId | None
    attributes: Sequence[Attribute]

    @property
    def certificates(self) -> Sequence[str]:
        return tuple(dict.fromkeys(each for shown in self.signatures.values() for each in shown))

    @property
    def address(self) -> str | None:
        """Where it says that it is posted to."""
        return self.destination or next(iter(self.recipients), None)

    def assertion(self) -> Assertion | None:
        """As if it were verified, for a look at whom it would mean; None where there is none that can be read."""
        if not self.readable:
            return None
        return as_if_asserted(self.name_id, self.attributes, next(iter(self.issuers), ""), self.issued)


def read(posted: str, keys: Sequence[SpKey] = ()) -> Said | None:
    """What can be read of it; None where it is no SAML response at all. `keys` may open what is encrypted."""
    try:
        root = open_response(posted)
    except SamlRefusal:
        return None
    found = _assertion(root, keys)
    assertions = [] if found is None else [found]
    encrypted = next(root.iterchildren(ENCRYPTED_ASSERTION), None)
    return Said(
        issued=_unless_refused(lambda: instant(root, "IssueInstant")),
        request_id=root.get("InResponseTo"),
        destination=root.get("Destination"),
        issuers=_texts([root, *assertions], "saml:Issuer"),
        recipients=_recipients(found),
        audiences=_texts_below(found, "saml:Audience"),
        signatures={
            str(each.tag).rpartition("}")[2].lower(): claimed(each) for each in (root, *assertions) if _is_signed(each)
        },
        encrypted=encrypted is not None,
        readable=found is not None,
        encrypted_for=[] if encrypted is None else _encrypted_for(encrypted),
        name_id=None if found is None else _unless_refused(lambda: read_name_id(found)),
        attributes=() if found is None else _unless_refused(lambda: read_attributes(found)) or (),
    )


def as_if_asserted(
    subject: NameId | None, attributes: Sequence[Attribute], issuer: str = "", issued: datetime | None = None
) -> Assertion:
    """For a look at whom it would mean. It answers nothing and opens nothing; without `issued` it is of just now."""
    moment = issued or datetime.now(UTC)
    return Assertion(
        id="",
        issuer=issuer,
        subject=subject,
        attributes=tuple(attributes),
        issued=moment,
        authn_instant=moment,
        session_index=None,
        session_not_on_or_after=None,
        expires=moment,
        in_response_to=None,
    )


def _assertion(root: etree._Element, keys: Sequence[SpKey]) -> etree._Element | None:
    plain = next(children(root, "saml:Assertion"), None)
    encrypted = next(root.iterchildren(ENCRYPTED_ASSERTION), None)
    if plain is not None or encrypted is None or not keys:
        return plain
    return _unless_refused(lambda: _opened(encrypted, keys))


def _opened(encrypted: etree._Element, keys: Sequence[SpKey]) -> etree._Element:
    # As if it were signed: nobody watches what comes of it here, and the verifier has judged it by its own rules.
    sealed = read_encryption(encrypted, response_signed=True)
    return opened(sealed, keys, typing_namespaces(encrypted) | encrypted.nsmap)


def _unless_refused(work: Callable[[], T]) -> T | None:
    try:
        with judging("response"):
            return work()
    except SamlRefusal:
        return None


def _is_signed(element: etree._Element) -> bool:
    return element.find(tag("ds:Signature")) is not None


def _texts(elements: Sequence[etree._Element], name: str) -> Sequence[str]:
    found = (text(element.find(tag(name))) for element in elements)
    return tuple(dict.fromkeys(each for each in found if each))


def _texts_below(element: etree._Element | None, name: str) -> Sequence[str]:
    found = (text(each) for each in (() if element is None else element.iter(tag(name))))
    return tuple(dict.fromkeys(each for each in found if each))[:MOST]


def _recipients(assertion: etree._Element | None) -> Sequence[str]:
    found = () if assertion is None else assertion.iter(tag("saml:SubjectConfirmationData"))
    return tuple(dict.fromkeys(value for each in found if (value := each.get("Recipient"))))[:MOST]


def _encrypted_for(encrypted: etree._Element) -> Sequence[str]:
    """By the certificates that the encrypted key names; most IdPs name one."""
    found = (
        base64_of(certificate)
        for key in encrypted.iter(tag("xenc:EncryptedKey"))
        for certificate in key.iter(tag("ds:X509Certificate"))
    )
    return tuple(hashlib.sha256(der).hexdigest() for der in found if der)[:MOST]
