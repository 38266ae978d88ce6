"""The parameters that both bindings have (SAML bindings 3.4.4 and 3.5.4), as other parties send them."""

from __future__ import annotations

from collections.abc import Collection

from bridge.saml.model import Kind
from bridge.saml.refusals import malformed
from bridge.saml.statements import is_plain

KINDS: tuple[Kind, ...] = ("SAMLRequest", "SAMLResponse")
MAX_RELAY_STATE = 1024
"""In bytes. The bindings allow 80 (3.4.3), but an IdP gets back what it sent, and some send addresses."""


def kind_of(names: Collection[str]) -> Kind:
    """Which of the two there is; raises `SamlRefusal` unless it is exactly one."""
    found = [kind for kind in KINDS if kind in names]
    if len(found) != 1:
        raise malformed("parameter", f"there must be either a SAMLRequest or a SAMLResponse, not {len(found)} of them")
    return found[0]


def read_relay_state(value: str | None) -> str | None:
    """What was sent beside the message, to be sent back as it is; raises `SamlRefusal`."""
    if value is not None and (len(value.encode("utf-8", "replace")) > MAX_RELAY_STATE or not is_plain(value)):
        raise malformed("relay_state", f"the RelayState is longer than {MAX_RELAY_STATE} bytes, or no plain text")
    return value
