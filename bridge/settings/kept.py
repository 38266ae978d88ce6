"""How long is kept what became of launches."""

from __future__ import annotations

from datetime import timedelta

from pydantic import ValidationInfo, field_validator

from bridge.settings.frozen import Frozen
from bridge.settings.values import Duration, KeptFor, RingSize, written_duration


class Launches(Frozen):
    """What is kept of launches, for `kombo-bridge launches`, `explain` and the admin page, and how long."""

    keep: Duration = timedelta(days=30)
    """How long each launch is kept, with every step's outcome, and whoever was refused."""
    keep_values: KeptFor = timedelta(days=7)
    """How long what the IdP said of the person is kept with it, encrypted; `0s` keeps nothing of the kind."""
    refusals: RingSize = 200
    """How many refusals of each tenant are kept that came before a verified answer; the newest replace the oldest."""

    @field_validator("keep_values")
    @classmethod
    def _no_longer_than_the_rest(cls, length: timedelta, info: ValidationInfo) -> timedelta:
        keep = info.data.get("keep")
        if keep is not None and length > keep:
            raise ValueError(f"write at most `keep`, {written_duration(keep)}")
        return length
