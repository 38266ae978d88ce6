"""Messages that the bridge sends: what all of them say of themselves, and their way to the IdP."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from lxml import etree

from bridge.saml.document import ASSERTION, PROTOCOL, tag
from bridge.saml.model import Binding, Kind, Outgoing, ServiceProvider
from bridge.saml.post import post
from bridge.saml.redirect import redirect
from bridge.saml.signing import KeyPair

MAX_RELAY_STATE = 80


def new_id() -> str:
    """An ID that cannot be guessed: an answer is recognised by it."""
    return f"_{secrets.token_hex(20)}"


def new_message(name: str, party: ServiceProvider, destination: str, now: datetime) -> etree._Element:
    """A message of ours with nothing but what every message has (SAML core 3.2); `now` has a time zone."""
    message = etree.Element(
        tag(name),
        {"ID": new_id(), "Version": "2.0", "IssueInstant": instant_text(now), "Destination": destination},
        nsmap={"samlp": PROTOCOL, "saml": ASSERTION},
    )
    add(message, "saml:Issuer", party.entity_id)
    return message


def add(parent: etree._Element, name: str, content: str | None = None, **attributes: str) -> etree._Element:
    """A new last child."""
    element = etree.SubElement(parent, tag(name), attributes)
    element.text = content
    return element


def instant_text(moment: datetime) -> str:
    """A time as SAML writes it (core 1.3.3)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def send(
    message: etree._Element, kind: Kind, binding: Binding, url: str, relay_state: str | None, key: KeyPair | None
) -> Outgoing:
    """The message on its way, signed if there is a key, as the binding wants it."""
    return (redirect if binding == "redirect" else post)(url, kind, message, relay_state, key)


def check_relay_state(value: str) -> None:
    """A RelayState of ours has at most 80 bytes (SAML bindings 3.4.3), else `ValueError`."""
    if len(value.encode()) > MAX_RELAY_STATE:
        raise ValueError(f"a RelayState has at most {MAX_RELAY_STATE} bytes")
