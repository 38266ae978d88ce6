"""The HTTP-POST binding (SAML bindings 3.5) of messages without an assertion: the signature is in the message."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from lxml import etree

from bridge.saml.guard import check_lone_shape, check_schema, decode, open_document
from bridge.saml.model import Binding, Kind, Outgoing
from bridge.saml.parameters import kind_of, read_relay_state
from bridge.saml.profile import read_profile
from bridge.saml.refusals import malformed, rejected
from bridge.saml.signature import verified
from bridge.saml.signing import KeyPair, sign_element


def post(url: str, kind: Kind, message: etree._Element, relay_state: str | None, key: KeyPair | None) -> Outgoing:
    """A message by a form, signed in place if there is a key."""
    if key is not None:
        sign_element(message, key)
    fields: dict[str, str] = {kind: base64.b64encode(etree.tostring(message)).decode()}
    if relay_state is not None:
        fields["RelayState"] = relay_state
    return Outgoing(url, fields)


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A message in a form, with a signature that nobody has looked at yet."""

    binding: ClassVar[Binding] = "post"
    kind: Kind
    relay_state: str | None
    posted: str = field(repr=False)

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Self:
        """The fields of a form, each of which came once; raises `SamlRefusal`."""
        kind = kind_of(fields.keys())
        if fields.keys() & {"SigAlg", "Signature"}:
            raise malformed("parameter", "the form is signed as in a query (HTTP-POST-SimpleSign), which is not read")
        return cls(kind, read_relay_state(fields.get("RelayState")), fields[kind])

    def open(self, root_name: str, certificates: tuple[str, ...], *, accept_sha1: bool) -> etree._Element:
        """The message, as one of the certificates' keys signed it; raises `SamlRefusal`."""
        root = open_document(decode(self.posted, self.kind), self.kind, root_name)
        check_lone_shape(root, signed=True)
        profile = read_profile(root, accept_sha1=accept_sha1)
        if profile is None:
            raise rejected("signature_missing", "the message is not signed")
        check_schema(root)
        return verified(root, profile, certificates)
