"""A tenant of any size: learners and progressions that are made of their number when somebody asks for them.

Everything about number n follows from n, and n from every id, remote id and address of it, so that nothing has to be
kept or searched. Learner n has the progressions that lie in the n-th part of all, each in another course until the
courses run out (then they begin again: next year's certification). Unlike Kombo's, these ids do not follow from the
remote ids.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from bridge.simulator.records import BASE58, Progression, User, kombo_id

FIRST = ("Ada", "Bo", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hana", "Ivo", "Julia", "Kofi", "Lea", "Mateo")
LAST = ("Abel", "Berg", "Conti", "Diaz", "Engel", "Faure", "Gomez", "Hoang", "Ito", "Jansen", "Keita", "Lund", "Mori")
STATUSES: tuple[str | None, ...] = (*["ENROLLED"] * 8, *["IN_PROGRESS"] * 4, *["COMPLETED"] * 6, "DROPPED", None)

_DIGITS = 10
_SPACE = 58**_DIGITS
_FACTOR, _SHIFT = 271_828_182_845_904_523, 161_803_398_874_989_485
_INVERSE = pow(_FACTOR, -1, _SPACE)
_VALUES = {digit: value for value, digit in enumerate(BASE58)}
_PAIRS = [low + high for high in BASE58 for low in BASE58]


class _Ids:
    """Ids of one model: 14 characters say whose they are, 10 are the number, shuffled so that neighbours differ."""

    def __init__(self, size: int, *parts: str) -> None:
        self._size, self._prefix = size, kombo_id(*parts)[:14]

    def of(self, number: int) -> str:
        rest, text = (number * _FACTOR + _SHIFT) % _SPACE, self._prefix
        for _ in range(_DIGITS // 2):
            rest, pair = divmod(rest, 58 * 58)
            text += _PAIRS[pair]
        return text

    def number(self, id: str) -> int | None:
        if len(id) != 24 or not id.startswith(self._prefix):
            return None
        value = 0
        for char in reversed(id[14:]):
            digit = _VALUES.get(char)
            if digit is None:
                return None
            value = value * 58 + digit
        number = (value - _SHIFT) * _INVERSE % _SPACE
        return number if number < self._size else None


class Learners:
    """`size` people. One in fifty has no address, one in a hundred is inactive, one in two hundred has no status."""

    def __init__(self, integration: str, size: int, domain: str) -> None:
        self._size, self._domain = size, domain
        self._ids = _Ids(size, "learners", integration)
        self._remote = hashlib.sha256(integration.encode()).hexdigest()[:20]
        self._address = re.compile(rf"[a-z]+\.[a-z]+\.([1-9][0-9]{{0,8}})@{re.escape(domain)}", re.ASCII)
        self.record = lru_cache(maxsize=4096)(self._made)

    def __len__(self) -> int:
        return self._size

    def number(self, id: str) -> int | None:
        return self._ids.number(id)

    def numbers(self, key: str, value: str) -> Sequence[int]:
        """Remote ids are Workday's: 32 hexadecimal digits."""
        if key == "remote_id" and re.fullmatch(rf"{self._remote}[0-9a-f]{{12}}", value):
            number = int(value[20:], 16)
        elif key == "work_email" and (match := self._address.fullmatch(value)):
            number = int(match[1]) - 1
        else:
            return ()
        return (number,) if number < self._size else ()

    def _made(self, number: int) -> User:
        first, last = FIRST[number % len(FIRST)], LAST[number // len(FIRST) % len(LAST)]
        return User(
            id=self._ids.of(number),
            remote_id=f"{self._remote}{number:012x}",
            first_name=first,
            last_name=last,
            work_email=None if number % 50 == 49 else f"{first}.{last}.{number + 1}@{self._domain}".lower(),
            status=None if number % 200 == 98 else "INACTIVE" if number % 100 == 97 else "ACTIVE",
        )


class Assignments:
    """`size` progressions of learners in `revisions` (ids), which are taken in turn."""

    def __init__(
        self, integration: str, size: int, learners: Learners, revisions: Sequence[str], since: datetime
    ) -> None:
        if size and not (len(learners) and revisions):
            raise ValueError("progressions need people and courses")
        self._size, self._learners, self._revisions, self._since = size, learners, revisions, since
        self._turns = {revision: turn for turn, revision in enumerate(revisions)}
        self._ids = _Ids(size, "assignments", integration)
        self.record = lru_cache(maxsize=4096)(self._made)

    def __len__(self) -> int:
        return self._size

    def number(self, id: str) -> int | None:
        return self._ids.number(id)

    def numbers(self, key: str, value: str) -> Sequence[int]:
        if key == "remote_id" and re.fullmatch(r"assignment-[1-9][0-9]{0,8}", value, re.ASCII):
            number = int(value.removeprefix("assignment-")) - 1
            return (number,) if number < self._size else ()
        if key == "user_id" and (learner := self._learners.number(value)) is not None:
            return range(self._first(learner), self._first(learner + 1))
        if key == "course_revision_id" and value in self._turns:
            return range(self._turns[value], self._size, len(self._revisions))
        return ()

    def _first(self, learner: int) -> int:
        """The number of a learner's first progression."""
        return -(-learner * self._size // len(self._learners))

    def _made(self, number: int) -> Progression:
        status = STATUSES[(number * 2654435761 >> 12) % len(STATUSES)]
        enrolled_at = self._since - timedelta(hours=1 + number % 5000)
        return Progression(
            id=self._ids.of(number),
            remote_id=f"assignment-{number + 1}",
            user_id=self._learners.record(number * len(self._learners) // self._size).id,
            course_revision_id=self._revisions[number % len(self._revisions)],
            status=status,
            enrolled_at=enrolled_at,
            completed_at=enrolled_at + timedelta(minutes=40) if status == "COMPLETED" else None,
        )
