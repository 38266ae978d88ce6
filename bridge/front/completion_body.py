"""The body of `POST /completions`, read strictly: what is wrong with it becomes a sentence for who wrote the client."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, NoReturn

from bridge.errors import Code, Refusal
from bridge.printable import printable

FIELDS = ("tenant", "user", "remote_id", "course", "completed_at", "score")
MAX_TEXT = 512
AHEAD = timedelta(minutes=5)
"""How far the platform's clock may be ahead of ours."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?", re.ASCII)
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Reported:
    """What the platform reports; exactly one of `user` (Kombo's id) and `remote_id` is set.

    `course` is the origin id, `completed_at` an aware time.
    """

    tenant: str
    user: str | None
    remote_id: str | None
    course: str
    completed_at: datetime | None
    score: int | None


def read(body: bytes, now: datetime) -> Reported:
    """Raises `Refusal` (`request_malformed`) with what is wrong and what to write instead."""
    values = _members(body)
    for name in values:
        if name not in FIELDS:
            near = get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.5)
            advice = f"write `{near[0]}`?" if near else f"what may stand here is {', '.join(FIELDS)}"
            _refuse(f"`{printable(name[:64])}` is no field: {advice}")
    user, remote_id = _text(values, "user"), _text(values, "remote_id")
    if (user is None) == (remote_id is None):
        _refuse("write either `user`, Kombo's id of the learner, or `remote_id`, the LMS's")
    return Reported(
        tenant=_text(values, "tenant") or _missing("tenant", "the slug of the learner's organisation"),
        user=user,
        remote_id=remote_id,
        course=_text(values, "course") or _missing("course", "the origin id of the course"),
        completed_at=_completed_at(values.get("completed_at"), now),
        score=_score(values.get("score")),
    )


def _members(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        _refuse("the body is not JSON in UTF-8")
    if not isinstance(values, dict):
        _refuse("the body is not a JSON object")
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        _refuse("a field stands twice")
    return values


def _text(values: dict[str, Any], name: str) -> str | None:
    """A text; null stands for one that is absent."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT or _UNWRITABLE.search(value):
        _refuse(f"`{name}` must be a text of 1 to {MAX_TEXT} characters, none of them a control character")
    return value


def _completed_at(value: Any, now: datetime) -> datetime | None:
    """An aware time. A date alone is its beginning in UTC, as JavaScript reads one and so probably Kombo."""
    if value is None:
        return None
    form = "`completed_at` must be a date, 2026-04-15, or a time with its zone, 2026-04-15T14:01:29Z"
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        _refuse(form)
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment > now + AHEAD:
            _refuse("`completed_at` lies in the future")
        if moment < EARLIEST:
            _refuse("`completed_at` lies before 1970")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        _refuse(form)


def _score(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= 100:
        _refuse("`score` must be a whole number from 0 to 100")
    return value


def _missing(name: str, meaning: str) -> NoReturn:
    _refuse(f"`{name}` is missing: write {meaning}")


def _refuse(reason: str) -> NoReturn:
    raise Refusal(Code.REQUEST_MALFORMED, reason)
