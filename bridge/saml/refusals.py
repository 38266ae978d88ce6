"""How a refusal of a SAML message is worded: what was found, what was expected, nothing of the person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.errors import Code, SamlRefusal
from bridge.printable import printable

MAX_QUOTE = 200
MAX_FOUND = 512


def rejected(check: str, reason: str, *found: str | None) -> SamlRefusal:
    """A SAML message that did not pass `check`; of what was `found` instead, what is there is kept, cut to a length."""
    return SamlRefusal(Code.SAML_REJECTED, check, reason, tuple(value[:MAX_FOUND] for value in found if value))


def malformed(check: str, reason: str) -> SamlRefusal:
    """No SAML message at all."""
    return SamlRefusal(Code.SAML_MALFORMED, check, reason)


@contextmanager
def judging(what: str) -> Iterator[None]:
    """Within it nothing but `SamlRefusal` is raised: whatever else goes wrong, the message did not pass."""
    try:
        yield
    except SamlRefusal:
        raise
    except Exception as error:
        raise rejected("internal", f"the {what} could not be judged: {type(error).__name__}") from error


def quoted(value: str | None) -> str:
    """A value of the message fit for a log line: at most 200 printable characters."""
    if value is None:
        return "nothing"
    return f'"{printable(value[:MAX_QUOTE])}{"…" if len(value) > MAX_QUOTE else ""}"'
