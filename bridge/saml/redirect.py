"""The HTTP-Redirect binding (SAML bindings 3.4): a message in a URL's query, signed beside it and not within.

The signature is over the octets of the query as they came, so they are kept as they came. It is verified first; only
what it covers is then decoded, inflated and parsed.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from dataclasses import dataclass, field
from typing import ClassVar, Self
from urllib.parse import unquote_plus, urlencode

from lxml import etree

from bridge.saml.guard import check_lone_shape, check_schema, open_document
from bridge.saml.model import Binding, Kind, Outgoing
from bridge.saml.parameters import KINDS, kind_of, read_relay_state
from bridge.saml.refusals import malformed, rejected
from bridge.saml.signature import check_octets
from bridge.saml.signing import KeyPair, sign_octets, signature_algorithm

DEFLATE = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE"
MAX_QUERY = 32 * 1024
MAX_INFLATED = 64 * 1024

_PARAMETERS = {*KINDS, "RelayState", "SigAlg", "Signature", "SAMLEncoding"}
_LOOKALIKES = {name.lower() for name in _PARAMETERS}
_IGNORABLE = re.compile(r"[\s\0\[\]]+")
_VALUE = re.compile(r"(?:[A-Za-z0-9!$'()*+,./:=?@_~-]|%[0-9A-Fa-f]{2})*")


def redirect(url: str, kind: Kind, message: etree._Element, relay_state: str | None, key: KeyPair | None) -> Outgoing:
    """A message by a redirect, signed if there is a key; `url` may have a query of its own."""
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(etree.tostring(message)) + packer.flush()
    parameters: dict[str, str] = {kind: base64.b64encode(packed).decode()}
    if relay_state is not None:
        parameters["RelayState"] = relay_state
    if key is None:
        return Outgoing(_with_query(url, urlencode(parameters)))
    octets = urlencode({**parameters, "SigAlg": signature_algorithm(key)})
    signature = base64.b64encode(sign_octets(octets.encode("ascii"), key)).decode()
    return Outgoing(_with_query(url, f"{octets}&{urlencode({'Signature': signature})}"))


@dataclass(frozen=True, slots=True)
class SignedQuery:
    """A message in a query, with a signature that nobody has looked at yet.

    `octets` are what was signed, in the order of 3.4.4.1 and encoded as they came.
    """

    binding: ClassVar[Binding] = "redirect"
    kind: Kind
    relay_state: str | None
    packed: bytes = field(repr=False)
    octets: bytes = field(repr=False)
    algorithm: str
    signature: bytes = field(repr=False)

    @classmethod
    def read(cls, query: bytes) -> Self:
        """The raw query of a URL; raises `SamlRefusal`. Nothing in it is decoded twice, or looked for elsewhere."""
        raw = _split(query)
        kind = kind_of(raw.keys())
        if not {"SigAlg", "Signature"} <= raw.keys():
            raise rejected("signature_missing", f"the {kind} in the query is not signed")
        values = {name: _decoded(name, value) for name, value in raw.items()}
        if values.get("SAMLEncoding", DEFLATE) != DEFLATE:
            raise malformed("encoding", "the SAMLEncoding is another than DEFLATE")
        return cls(
            kind=kind,
            relay_state=read_relay_state(values.get("RelayState")),
            packed=_from_base64(kind, values[kind]),
            octets="&".join(f"{name}={raw[name]}" for name in (kind, "RelayState", "SigAlg") if name in raw).encode(),
            algorithm=values["SigAlg"],
            signature=_from_base64("Signature", values["Signature"]),
        )

    def open(self, root_name: str, certificates: tuple[str, ...], *, accept_sha1: bool) -> etree._Element:
        """The message, signed by one of the certificates' keys; raises `SamlRefusal`."""
        check_octets(self.octets, self.algorithm, self.signature, certificates, accept_sha1=accept_sha1)
        root = open_document(inflate(self.packed), self.kind, root_name)
        check_lone_shape(root, signed=False)
        check_schema(root)
        return root


def inflate(packed: bytes) -> bytes:
    """DEFLATE data (RFC 1951) that is at most 64 KiB long unpacked, and nothing after it; raises `SamlRefusal`."""
    inflater = zlib.decompressobj(wbits=-15)
    try:
        data = inflater.decompress(packed, MAX_INFLATED + 1)
    except zlib.error:
        raise malformed("deflate", "the message is not DEFLATE data") from None
    if len(data) > MAX_INFLATED:
        raise malformed("size", f"the message is larger than {MAX_INFLATED} bytes when it is inflated")
    if not inflater.eof or inflater.unused_data:
        raise malformed("deflate", "the DEFLATE data is cut off, or followed by something else")
    return data


def _split(query: bytes) -> dict[str, str]:
    """The binding's parameters as they came, each at most once and spelt in one way only; others mean nothing here."""
    if len(query) > MAX_QUERY:
        raise malformed("size", f"the query is longer than {MAX_QUERY} bytes")
    found: dict[str, str] = {}
    for piece in query.decode("latin-1").split("&"):
        name, _, value = piece.partition("=")
        if name not in _PARAMETERS:
            if _IGNORABLE.sub("", unquote_plus(name)).lower() in _LOOKALIKES:
                raise malformed("parameter", "a parameter of the query is spelt almost like one of the binding's")
            continue
        if name in found:
            raise malformed("parameter", f"the query has {name} twice")
        if not _VALUE.fullmatch(value):
            raise malformed("parameter", f"the value of {name} is not encoded as in a URL")
        found[name] = value
    return found


def _decoded(name: str, raw: str) -> str:
    try:
        return unquote_plus(raw, errors="strict")
    except UnicodeDecodeError:
        raise malformed("parameter", f"the value of {name} is not UTF-8") from None


def _from_base64(name: str, value: str) -> bytes:
    """Without the line breaks that the binding forbids."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise malformed("base64", f"the {name} is not base64: is a + in the query not encoded?") from None


def _with_query(url: str, query: str) -> str:
    if "?" not in url:
        return f"{url}?{query}"
    return f"{url}{query}" if url[-1] in "?&" else f"{url}&{query}"
