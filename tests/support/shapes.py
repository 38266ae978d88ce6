"""Responses as other people's IdPs write them, one template an IdP, filled in and signed with keys of our own.

Those of well-known IdPs are the samples that `config/idps` ships; the rest are in `tests/saml/shapes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from lxml import etree

from bridge.demo.encryption import Encryption, encrypt_assertion
from bridge.demo.responses import IdpKey
from bridge.saml.document import tag
from bridge.saml.signing import fill_signature

ROOT = Path(__file__).parents[2]
IDPS = ROOT / "config" / "idps"
OTHERS = ROOT / "tests" / "saml" / "shapes"

_BOM = b"\xef\xbb\xbf"
_MOMENTS = {
    "now": timedelta(),
    "now-5m": timedelta(minutes=-5),
    "now+5m": timedelta(minutes=5),
    "now+1h": timedelta(hours=1),
    "now+8h": timedelta(hours=8),
}


@cache
def shapes() -> Mapping[str, Path]:
    """The templates by the IdP's name."""
    found = {path.parent.name: path for path in IDPS.glob("*/response.xml")}
    found |= {path.stem: path for path in OTHERS.glob("*.xml")}
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Places:
    """What stands in a template as `{{acs}}`, `{{request}}` and so on; moments as `{{now+5m}}`."""

    issuer: str
    acs: str
    audience: str
    request: str
    now: datetime

    def fill(self, template: bytes, key: IdpKey) -> bytes:
        """The message, its signatures still empty."""
        values = {
            "issuer": self.issuer,
            "acs": self.acs,
            "audience": self.audience,
            "request": self.request,
            "certificate": key.certificate_base64,
            **{name: (self.now + offset).strftime("%Y-%m-%dT%H:%M:%SZ") for name, offset in _MOMENTS.items()},
        }
        for name, value in values.items():
            template = template.replace(b"{{" + name.encode() + b"}}", value.encode())
        assert b"{{" not in template
        return template


def unasked(template: bytes) -> bytes:
    """The same answer where nobody had asked (IdP-initiated): without InResponseTo."""
    place = b' InResponseTo="{{request}}"'
    assert template.count(place) == 2
    return template.replace(place, b"")


def signed(message: bytes, key: IdpKey, encryption: Encryption | None = None) -> bytes:
    """Fills every signature, the response's last; in between, its assertion may be encrypted.

    What stands before the root is kept.
    """
    head, root = split(message)
    of_response = root.find(tag("ds:Signature"))
    for signature in root.iter(tag("ds:Signature")):
        if signature is not of_response:
            fill_signature(signature, key)
    if encryption:
        encrypt_assertion(root, encryption)
    if of_response is not None:
        fill_signature(of_response, key)
    return head + etree.tostring(root, encoding="UTF-8", xml_declaration=False)


def split(message: bytes) -> tuple[bytes, etree._Element]:
    """Byte order mark or XML declaration, and the root: lxml would write them in its own way."""
    head = message[: message.index(b"?>") + 2] if b"?>" in message else _BOM if message.startswith(_BOM) else b""
    return head, etree.fromstring(message.removeprefix(head))
