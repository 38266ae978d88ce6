"""Moments as somebody writes them on a command line who looks back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import typer
from pydantic import TypeAdapter, ValidationError

from bridge.settings.values import Duration
from bridge.store.engine import moment_ms

_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


def past(text: str) -> int:
    """Milliseconds since 1970 of a moment: so long ago, or as ISO 8601 has it, in UTC where it does not say.

    Raises `typer.BadParameter`.
    """
    try:
        return moment_ms(datetime.now(UTC) - _DURATION.validate_python(text))
    except ValidationError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return moment_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        message = "write how long ago, such as 90m, 2h or 3d, or a moment such as 2026-11-22T09:30Z"
        raise typer.BadParameter(message) from None
