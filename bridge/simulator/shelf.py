"""Records by id, each with a place of its own that never changes: paging seeks to it, and indexes point at it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from heapq import merge
from typing import Generic, Protocol, TypeVar

from bridge.simulator.records import Record

R = TypeVar("R", bound=Record)
V = TypeVar("V")
Made = TypeVar("Made", bound=Record, covariant=True)
Key = Callable[[R], str | None]


class Crowd(Protocol[Made]):
    """Many records, each made of its number when it is asked for."""

    def __len__(self) -> int: ...

    def record(self, number: int) -> Made: ...

    def number(self, id: str) -> int | None:
        """Whose id it is."""

    def numbers(self, key: str, value: str) -> Sequence[int]:
        """Those that may have the value at a key, in order."""


class Shelf(MutableMapping[str, V], Generic[R, V]):
    """Values of records in the order in which they came, and among them at most one crowd.

    A record of the crowd that is changed or taken away is kept like any other from then on, at its old place. `keys`
    say what is indexed (`id` always is), `record` what of a value, `made` what of a record of the crowd the value is.
    `touched` hears the id of whatever is put or taken.
    """

    def __init__(
        self,
        keys: Mapping[str, Key[R]],
        *,
        record: Callable[[V], R],
        made: Callable[[R], V],
        touched: Callable[[str], None],
    ) -> None:
        self.made = made
        self._keys, self._record, self._touched = keys, record, touched
        self._own: dict[str, V] = {}
        self._taken: set[int] = set()
        """Who of the crowd is kept here instead, or gone."""
        self._places: dict[str, int] = {}
        self._ids: list[str] = []
        self._crowd: Crowd[R] | None = None
        self._crowd_at = 0
        self._touched_places: list[int] = []
        self._index: dict[str, dict[str, dict[str, None]]] = {key: {} for key in keys}

    def settle(self, crowd: Crowd[R]) -> None:
        """Let a crowd in, after what is there already."""
        if self._crowd:
            raise ValueError("there is a crowd already")
        self._crowd, self._crowd_at = crowd, len(self._ids)

    @property
    def own(self) -> Mapping[str, V]:
        """All but the untouched part of the crowd."""
        return self._own

    def __getitem__(self, id: str) -> V:
        value = self._own.get(id)
        if value is not None:
            return value
        number = self._number(id)
        if self._crowd is None or number is None or number in self._taken:
            raise KeyError(id)
        return self.made(self._crowd.record(number))

    def __setitem__(self, id: str, value: V) -> None:
        self._take(id)
        self._own[id] = value
        if id not in self._places:
            self._place(id)
        for key, of in self._keys.items():
            found = of(self._record(value))
            if found is not None:
                self._index[key].setdefault(found, {})[id] = None
        self._touched(id)

    def __delitem__(self, id: str) -> None:
        if id not in self:
            raise KeyError(id)
        self._take(id)
        self._touched(id)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and (id in self._own or self._is_untouched(self._number(id)))

    def __iter__(self) -> Iterator[str]:
        return (id for place in range(self.places) if (id := self._id(place)) in self)

    def __len__(self) -> int:
        return len(self._own) + self._crowd_size - len(self._taken)

    @property
    def places(self) -> int:
        """One more than the last place."""
        return len(self._ids) + self._crowd_size

    def at(self, place: int) -> V | None:
        """What stands there, if it has not been taken away."""
        number = place - self._crowd_at
        if self._crowd and 0 <= number < len(self._crowd) and number not in self._taken:
            return self.made(self._crowd.record(number))
        return self._own.get(self._id(place))

    def among(self, key: str, values: set[str], start: int = 0) -> Iterator[int]:
        """The places, from `start` on and in order, of all that may have one of the values at a key."""
        if key == "id":
            rows: list[Sequence[int]] = [[place for id in values if (place := self._place_of(id)) is not None]]
            rows[0] = sorted(rows[0])
        else:
            rows = [self._indexed(key, value) for value in values]
            rows += [self._crowded(key, value) for value in values]
        return _distinct(merge(*(_beginning(row, start) for row in rows if row)))

    def touched_places(self, start: int = 0) -> Iterator[int]:
        """The places of `own`, and of what was there once."""
        return _beginning(self._touched_places, start)

    def where(self, key: str, value: str) -> Iterator[V]:
        """All that have the value at a key."""
        for place in self.among(key, {value}):
            found = self.at(place)
            if found is not None and self.key(key, found) == value:
                yield found

    def key(self, key: str, value: V) -> str | None:
        record = self._record(value)
        return record.id if key == "id" else self._keys[key](record)

    @property
    def _crowd_size(self) -> int:
        return len(self._crowd) if self._crowd else 0

    def _number(self, id: str) -> int | None:
        return self._crowd.number(id) if self._crowd else None

    def _is_untouched(self, number: int | None) -> bool:
        return number is not None and number not in self._taken

    def _id(self, place: int) -> str:
        number = place - self._crowd_at
        if self._crowd is None or number < 0:
            return self._ids[place]
        return self._crowd.record(number).id if number < len(self._crowd) else self._ids[place - len(self._crowd)]

    def _place(self, id: str) -> None:
        number = self._number(id)
        if number is None:
            self._places[id] = self.places
            self._ids.append(id)
        else:
            self._places[id] = self._crowd_at + number
        insort(self._touched_places, self._places[id])

    def _place_of(self, id: str) -> int | None:
        if id in self._places:
            return self._places[id]
        number = self._number(id)
        return None if number is None else self._crowd_at + number

    def _take(self, id: str) -> None:
        """Take away what is there of it, and leave its place."""
        value, number = self._own.pop(id, None), self._number(id)
        if number is not None:
            self._taken.add(number)
        if value is not None:
            for key, of in self._keys.items():
                found = of(self._record(value))
                if found is not None:
                    self._index[key][found].pop(id)

    def _indexed(self, key: str, value: str) -> Sequence[int]:
        return sorted(self._places[id] for id in self._index[key].get(value, ()))

    def _crowded(self, key: str, value: str) -> Sequence[int]:
        numbers = self._crowd.numbers(key, value) if self._crowd else ()
        if isinstance(numbers, range):
            return range(numbers.start + self._crowd_at, numbers.stop + self._crowd_at, numbers.step)
        return [number + self._crowd_at for number in numbers]


def _beginning(places: Sequence[int], start: int) -> Iterator[int]:
    return (places[position] for position in range(bisect_left(places, start), len(places)))


def _distinct(places: Iterator[int]) -> Iterator[int]:
    last = -1
    for place in places:
        if place != last:
            yield place
        last = place
