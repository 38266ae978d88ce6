"""How a refusal of a SAML response is worded: what was found, what was expected, nothing of the person."""

from __future__ import annotations

from bridge.errors import Code, SamlRefusal

MAX_QUOTE = 200


def rejected(check: str, reason: str) -> SamlRefusal:
    """A SAML response that did not pass `check`."""
    return SamlRefusal(Code.SAML_REJECTED, check, reason)


def malformed(check: str, reason: str) -> SamlRefusal:
    """No SAML response at all."""
    return SamlRefusal(Code.SAML_MALFORMED, check, reason)


def quoted(value: str | None) -> str:
    """A value of the response fit for a log line: at most 200 printable characters."""
    if value is None:
        return "nothing"
    cut = value[:MAX_QUOTE]
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)
    return f'"{shown}{"…" if len(value) > MAX_QUOTE else ""}"'
