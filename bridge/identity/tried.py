"""What was tried to find out who somebody is, for whoever asks why it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bridge.settings.model import IdentityEntry

Result = Literal["absent", "matched", "unmatched", "ambiguous", "inactive", "unknown", "unreadable"]


@dataclass(frozen=True, slots=True)
class Tried:
    """One identity entry, what the assertion had under it, and what came of that.

    `value` is what was asserted, None where nothing was; it names a person. `reason` names nobody.
    """

    entry: IdentityEntry
    value: str | None
    result: Result
    reason: str = ""

    @property
    def source(self) -> str:
        return self.entry.source or "NameID"
