"""When each model of an integration is to be read again, and whether from the beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.kombo.pauses import LONGEST_RETRY_AFTER
from bridge.settings.model import Kombo
from bridge.store.engine import length_ms
from bridge.store.rows import MODELS, Model
from bridge.store.syncs import Progress

HINT_GAP_MS = 2000
"""What is wanted sooner than this after the last pass began waits: webhooks come in swarms."""
TOGETHER = 10
"""What falls due within this part of `sync_every` is read in the same turn: what was read one after the other does."""
RETRY_MS = 30_000
"""The pause after one failure; it doubles with each in a row, up to `sync_every`."""
LONGEST_MS = round(LONGEST_RETRY_AFTER * 1000)


@dataclass(frozen=True, slots=True)
class Due:
    """One model: when its next pass is due, in milliseconds since 1970, and whether it is to be a full one."""

    model: Model
    at: int
    full: bool


def due(known: Mapping[Model, Progress], kombo: Kombo, moment: int) -> list[Due]:
    """Every model, in the order of reading.

    Nothing is due later than a `sync_every` from now, whatever moments are noted: the clock may have been set back.
    """
    return [_due(model, known.get(model), kombo, moment) for model in MODELS]


def turn(known: Mapping[Model, Progress], kombo: Kombo, moment: int) -> list[Due]:
    """What to read now; nothing where nothing is due yet."""
    every = due(known, kombo, moment)
    if min(each.at for each in every) > moment:
        return []
    soon = moment + length_ms(kombo.sync_every) // TOGETHER
    failed = {model for model, progress in known.items() if progress.retry_at is not None}
    return [each for each in every if each.at <= (moment if each.model in failed else soon)]


def retry_at(failures: int, kombo: Kombo, moment: int, asked: float | None) -> int:
    """When to try again after so many failures in a row; `asked` are the seconds that Kombo wants to be left alone."""
    pause = min(RETRY_MS << min(failures - 1, 20), length_ms(kombo.sync_every))
    return moment + max(pause, round((asked or 0) * 1000))


def longest(kombo: Kombo) -> int:
    """How many milliseconds from now the next pass may be due at most, whatever has failed."""
    return max(length_ms(kombo.sync_every), LONGEST_MS)


def _due(model: Model, known: Progress | None, kombo: Kombo, moment: int) -> Due:
    if known is None:
        return Due(model, moment, True)
    every, full_every = length_ms(kombo.sync_every), length_ms(kombo.full_sync_every)
    full_due = 0 if known.full_at is None else known.full_at + full_every
    full = full_due <= moment or known.needs_full(moment)
    if known.retry_at is not None:
        return Due(model, min(known.retry_at, moment + longest(kombo)), full)
    if full or known.mode is not None:
        return Due(model, moment, full)
    at = min((known.finished_at or 0) + every, full_due, moment + every)
    if known.wanted_at is not None:
        at = min(at, known.started_at + HINT_GAP_MS, moment + HINT_GAP_MS)
    return Due(model, at, full)
