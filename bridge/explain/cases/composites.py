"""Remote ids that are made of several parts, one of which the IdP sends (Kombo's guide: parse out the relevant one)."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.errors import Code
from bridge.explain.cases.unfound import Unfound, literal, name_of, with_remote_extract
from bridge.explain.change import Change
from bridge.settings.model import IdentityEntry
from bridge.settings.values import Regex
from bridge.store.lookups import Person

_SEPARATORS = re.compile(r"([|:,;/~#\s]+)")
_ID = "(?P<id>"
SHARED = 2
"""People who must have a part in common before a pattern says it: what only one has is theirs."""


@dataclass(frozen=True, slots=True)
class Composite:
    """Remote ids taken apart alike: the parts that each has, between the same separators."""

    separators: Sequence[str]
    rows: Sequence[Sequence[str]]

    def pattern(self, which: int, fixed: Sequence[str] = (), *, zeros: bool = False) -> str:
        """For the part of that number; `fixed` are the parts that are taken word by word though others have others.

        With `zeros`, the part counts without its leading ones.
        """
        written = ""
        for number in range(len(self.separators) + 1):
            column = [row[number] for row in self.rows]
            shape = (
                "[0-9]+"
                if all(part.isdigit() for part in column)
                else f"[^{self._any_separator}]{'+' if all(column) else '*'}"
            )
            if number == which:
                written += f"0*{_ID}[1-9][0-9]*)" if zeros else f"{_ID}{shape})"
            elif fixed and Counter(column)[fixed[number]] >= SHARED:
                written += literal(fixed[number])
            elif not fixed and len(set(column)) == 1 and len(column) >= SHARED:
                written += literal(column[0])
            else:
                written += shape
            written += literal(self.separators[number]) if number < len(self.separators) else ""
        return written

    @property
    def _any_separator(self) -> str:
        return literal("".join(sorted(set("".join(self.separators)))))


async def part_of_a_composite(unfound: Unfound) -> Change | None:
    """A part that several share is taken with the others word by word only where an address says which person it is:
    without one, whoever happens to be looked at first would be as good.
    """
    last, value = unfound.last, unfound.value
    if last is None or not value or last.entry.tier == "email":
        return None
    shared: list[str] = []
    for pattern in await asyncio.to_thread(lambda: list(dict.fromkeys(_patterns(unfound, value)))):
        entry = with_remote_extract(last.entry, pattern)
        identity = unfound.instead(entry)
        person = await unfound.proven(identity)
        if person and (not shared or unfound.confirmed(person)):
            return _proposed(unfound, entry, pattern, identity, person)
        whom = await unfound.who_if(identity)
        if whom and whom.refusal and whom.refusal.code is Code.USER_AMBIGUOUS:
            shared.append(pattern)
    if not shared:
        return None
    return Change(
        "composite_shared",
        "bridge",
        f"What {name_of(last.entry)} carries is one part of a composite remote id, and several people share it. Ask"
        " those who run the LMS which of the other parts is always the same for this customer, and write a"
        f" `remote_extract` that says it word by word. Of the general form `{shared[0]}` it would be a narrower one.",
    )


async def prefixed_remote_id(unfound: Unfound) -> Change | None:
    """The LMS has E123 where the IdP sends 123, for everybody."""
    last, value = unfound.last, unfound.value
    if last is None or not value or last.entry.tier == "email" or last.entry.remote_extract is not None:
        return None
    for remote_id in unfound.around.close:
        prefix = remote_id.removesuffix(value)
        if prefix == remote_id or not re.fullmatch(r"[A-Za-z]{1,8}[-_.]?", prefix):
            continue
        pattern = f"{literal(prefix)}{_ID}{'[0-9]+' if value.isdigit() else '.+'})"
        entry = with_remote_extract(last.entry, pattern)
        if person := await unfound.proven(identity := unfound.instead(entry)):
            return _proposed(unfound, entry, pattern, identity, person)
    return None


def _proposed(
    unfound: Unfound, entry: IdentityEntry, pattern: str, identity: Sequence[IdentityEntry], person: Person
) -> Change:
    sample, compiled = unfound.around.sample, Regex.parse(pattern)
    many = sum(1 for remote_id in sample if compiled.fullmatch(remote_id))
    return Change(
        "composite_remote_id",
        "bridge",
        f"What {name_of(entry)} carries is one part of the remote id, which is made of several. The pattern below"
        f" matches {many} of {len(sample)} synced remote ids whole, and finds exactly one active person."
        f"{unfound.confidence(person)} Write:",
        unfound.write(identity),
    )


def _patterns(unfound: Unfound, value: str) -> Iterator[str]:
    """The general ones first, then those with the other parts of each remote id that has this one."""
    narrow: list[str] = []
    for remote_id in unfound.around.close:
        parts, separators = _apart(remote_id)
        which = next((number for number, part in enumerate(parts) if _is_part(part, value)), None)
        if not separators or which is None:
            continue
        alike = [row for each in unfound.around.sample if (row := _like(each, separators))]
        composite = Composite(separators, alike or [parts])
        zeros = parts[which] != value
        yield composite.pattern(which, zeros=zeros)
        narrow.append(composite.pattern(which, parts, zeros=zeros))
    yield from narrow


def _is_part(part: str, value: str) -> bool:
    return part == value or (part.isdecimal() and value.isdecimal() and part.lstrip("0") == value)


def _apart(remote_id: str) -> tuple[list[str], list[str]]:
    pieces = _SEPARATORS.split(remote_id)
    return pieces[::2], pieces[1::2]


def _like(remote_id: str, separators: Sequence[str]) -> list[str] | None:
    parts, found = _apart(remote_id)
    return parts if found == list(separators) else None
