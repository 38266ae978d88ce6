"""What is shown of a value that names a person, where nobody has asked to see it."""

from __future__ import annotations

SHOWN = 2


def redacted(value: str) -> str:
    """Enough to tell two values apart by eye, and whether one is a number, an address or nothing of the kind."""
    local, at, domain = value.rpartition("@")
    if at and local:
        return f"{local[:1]}…@{domain}"
    many = f"{len(value)} characters"
    return f"{value[:SHOWN]}… ({many})" if len(value) > 2 * SHOWN else f"… ({many})"
