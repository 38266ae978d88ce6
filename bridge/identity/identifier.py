"""What an assertion carries under a tenant's identity entries."""

from __future__ import annotations

from bridge.errors import Code, Refusal
from bridge.saml.model import Assertion, Attribute
from bridge.settings.model import IdentityEntry

LONGEST_EMAIL = 254
"""RFC 5321, 4.5.3.1.3, as errata 1690 has it."""


def asserted(assertion: Assertion, entry: IdentityEntry) -> str | None:
    """The value that the entry names, or None where the assertion does not carry it.

    Raises `Refusal`: `user_ambiguous` for two distinct values, which could be two people, and `identifier_missing` for
    one that has no one reading. Neither is passed over for the next entry, which may be a weaker one.
    """
    if entry.source is None:
        return assertion.name_id
    found = _attributes(assertion, entry.source)
    for attribute in found:
        if attribute.unreadable:
            raise Refusal(
                Code.IDENTIFIER_MISSING,
                f"the attribute {entry.source} cannot identify anybody: {attribute.unreadable}; let the IdP send plain"
                " text in it",
            )
    values = {value for attribute in found for value in attribute.values if value}
    if len(values) > 1:
        raise Refusal(
            Code.USER_AMBIGUOUS, f"the attribute {entry.source} carries {len(values)} different values; one is expected"
        )
    return next(iter(values), None)


def _attributes(assertion: Assertion, name: str) -> list[Attribute]:
    """Those of that exact `Name`; by `FriendlyName` only where no `Name` fits."""
    named = [attribute for attribute in assertion.attributes if attribute.name == name]
    return named or [attribute for attribute in assertion.attributes if attribute.friendly_name == name]


def extracted(entry: IdentityEntry, value: str) -> str | None:
    """The part of an asserted value that identifies; None where the tenant's pattern does not match the whole of it."""
    if entry.extract is None:
        return value
    match = entry.extract.fullmatch(value)
    return match["id"] or None if match else None


def is_email(text: str) -> bool:
    """Whether a text reads like one address."""
    local, _, domain = text.partition("@")
    plain = text.isprintable() and " " not in text
    return bool(local and domain) and "@" not in domain and plain and len(text) <= LONGEST_EMAIL
