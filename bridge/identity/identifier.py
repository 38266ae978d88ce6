"""What an assertion carries under a tenant's identity entries."""

from __future__ import annotations

from bridge.errors import Code, Refusal
from bridge.saml.model import Assertion
from bridge.settings.model import IdentityEntry


def asserted(assertion: Assertion, entry: IdentityEntry) -> str | None:
    """The value that the entry names, or None where the assertion does not carry it.

    Two distinct values could be read as two people: raises `Refusal` (`user_ambiguous`).
    """
    if entry.source is None:
        return assertion.name_id
    values = _attribute(assertion, entry.source)
    if len(values) > 1:
        raise Refusal(
            Code.USER_AMBIGUOUS, f"the attribute {entry.source} carries {len(values)} different values; one is expected"
        )
    return next(iter(values), None)


def _attribute(assertion: Assertion, name: str) -> set[str]:
    """Distinct values by exact `Name`; by `FriendlyName` only where no `Name` fits."""
    named = [attribute for attribute in assertion.attributes if attribute.name == name]
    found = named or [attribute for attribute in assertion.attributes if attribute.friendly_name == name]
    return {value for attribute in found for value in attribute.values if value}


def extracted(entry: IdentityEntry, value: str) -> str | None:
    """The part of an asserted value that identifies; None where the tenant's pattern does not match the whole of it."""
    if entry.extract is None:
        return value
    match = entry.extract.fullmatch(value)
    return match["id"] or None if match else None
