"""One launch, or one refusal, as `kombo-bridge launches` shows it: as a row, as JSON, and in full."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bridge.errors import StateError
from bridge.launches import history
from bridge.launches.history import Record, Taken
from bridge.moments import length, moment
from bridge.printable import cut, printable
from bridge.redaction import redacted
from bridge.store import misses
from bridge.store.launches import Launch
from bridge.store.misses import Miss
from bridge.store.sealing import Seal

HEADINGS = ("WHEN", "OUTCOME", "TENANT", "FOUND", "BY", "USER", "COURSE", "TOOK", "REFERENCE")
LONGEST_CELL = 40
WIDTH = 100
MISSES = 3

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FullRecord:
    """All that is known of one launch or refusal. `seen` is what the IdP said; `unseen` why that cannot be shown."""

    record: Record
    seen: Mapping[str, Sequence[str]] | None
    unseen: str
    misses: Sequence[Miss]

    def fields(self, *, values: bool) -> Fields:
        """As JSON. What names a person is redacted unless `values`."""
        seen = self.seen and {name: [_value(each, values) for each in said] for name, said in self.seen.items()}
        return {
            **fields(self.record),
            "values": seen,
            "values_redacted": not values,
            "misses": [_miss(miss) for miss in self.misses],
        }


def full_records(connection: Connection, reference: str, seal: Seal) -> list[FullRecord]:
    """All that was given a reference, the latest first."""
    return [_full_record(connection, record, seal) for record in history.of_reference(connection, reference)]


def _full_record(connection: Connection, record: Record, seal: Seal) -> FullRecord:
    of, seen, unseen = record.of, None, "none: the answer was not verified"
    if isinstance(of, Launch):
        unseen = "none are kept, or no longer: see `launches.keep_values`"
        try:
            seen = history.seen(seal, of)
        except StateError as error:
            unseen = str(error)
    whose = of.user_id and of.course and (of.user_id, of.course)
    found = misses.of_person(connection, record.tenant, *whose, limit=MISSES) if whose else []
    return FullRecord(record, seen, unseen, found)


def cells(record: Record) -> tuple[str, ...]:
    """A row under `HEADINGS`."""
    of = record.of
    launch = of if isinstance(of, Launch) else None
    return (
        moment(record.at),
        record.outcome + (f" after {record.first_refused}" if record.first_refused else ""),
        record.tenant or "-",
        record.found or "-",
        (launch and launch.tier) or "-",
        cut(of.user_id or "-", LONGEST_CELL),
        cut(of.course or "-", LONGEST_CELL),
        "-" if record.took_ms is None else _took(record.took_ms),
        record.reference,
    )


def fields(record: Record) -> Fields:
    """As JSON; docs/launches.md has each."""
    of = record.of
    launch, refused = (of, None) if isinstance(of, Launch) else (None, of)
    return {
        "reference": record.reference,
        "kind": "launch" if launch else "refusal",
        "tenant": record.tenant or None,
        "outcome": record.outcome,
        "first_refused": record.first_refused,
        "reason": record.reason,
        "check": of.check,
        "at": moment(record.at),
        "finished_at": moment(launch.finished_at) if launch and launch.finished_at else None,
        "took_ms": record.took_ms,
        "found": record.found,
        "provider": launch and launch.provider,
        "integration": launch and launch.integration_id,
        "match": launch and launch.tier,
        "user": of.user_id,
        "course": of.course,
        "enrollment": launch and launch.enrollment,
        "gate": launch and launch.gate,
        "http_status": of.http_status,
        "method": refused and refused.method,
        "path": of.path,
        "steps": [{"step": each.step, "outcome": each.outcome, "ms": each.ms, **each.facts} for each in record.steps],
    }


def lines(full: FullRecord, name: str | None, *, values: bool) -> Iterator[str]:
    """In full, in plain text; `name` is the tenant's. Whatever came from outside is made printable."""
    record, of = full.record, full.record.of
    after = f", after {record.first_refused}" if record.first_refused else ""
    yield printable(f"{record.reference}: {record.outcome}{after}")
    facts: list[tuple[str, str | None]] = [("when", _when(record))]
    facts.append(("tenant", f"{record.tenant} ({name})" if name else record.tenant or "-"))
    facts.append(("found by", record.found))
    if isinstance(of, Launch):
        facts += [("IdP", of.provider), ("integration", of.integration_id)]
        facts += [("user", of.user_id and f"{of.user_id}, by {of.tier}")]
        gate = ", ".join(filter(None, (of.enrollment, of.gate and f"gate {of.gate}")))
        facts += [("course", of.course and of.course + (f" ({gate})" if gate else "")), ("path", of.path)]
    else:
        facts += [("user", of.user_id), ("course", of.course), ("request", f"{of.method} {of.path}")]
    facts += [("status", None if of.http_status is None else str(of.http_status)), ("reason", record.reason)]
    for label, value in facts:
        if value:
            yield from _wrapped(label, value)
    if record.steps:
        yield ""
        for taken in record.steps:
            yield from _step(taken, record.reason)
    yield ""
    yield from _values(full, values=values)
    for miss in full.misses:
        yield _wait(miss)
    if record.outcome not in ("forwarded", "signed_in"):
        yield ""
        yield f"why, and what would help: kombo-bridge explain {record.reference}"
    yield ""


def _when(record: Record) -> str:
    took = "" if record.took_ms is None else f", took {_took(record.took_ms)}"
    return moment(record.at) + took


def _step(taken: Taken, shown: str | None) -> Iterator[str]:
    """`shown` is a reason that stands above already."""
    facts = dict(taken.facts)
    checks, tried, found = facts.pop("checks", {}), facts.pop("tried", []), facts.pop("found", None)
    reason = facts.pop("reason", None)
    said = [f"{name} {value}" for name, value in facts.items()]
    said += [f"instead: {', '.join(found)}"] if isinstance(found, list) else [f"found by {found}"] if found else []
    ms = "" if taken.ms is None else _took(taken.ms)
    yield printable(f"  {taken.step:<11} {taken.outcome:<7} {ms:>8}  {', '.join(said)}").rstrip()
    if reason and reason != shown:
        yield from _wrapped("", reason)
    for check, standing in checks.items():
        yield printable(f"      {standing.replace('_', ' '):<12} {check.replace('_', ' ')}")
    for each in tried:
        why = f": {each['reason']}" if each.get("reason") else ""
        yield printable(f"      {each['result']:<12} {each['source']} ({each['tier']}){why}")


def _values(full: FullRecord, *, values: bool) -> Iterator[str]:
    if full.seen is None:
        yield printable(f"values seen: {full.unseen}")
        return
    yield "values seen:" if values else "values seen (redacted; --values shows them):"
    for name, said in full.seen.items():
        yield printable(f"      {name}: {', '.join(_value(each, values) for each in said)}")


def _miss(miss: Miss) -> Fields:
    lag = None if miss.lag_ms is None else miss.lag_ms / 1000
    return {"kind": miss.kind, "times": miss.times, "first_at": moment(miss.first_at), "lag_seconds": lag}


def _wait(miss: Miss) -> str:
    became = {"open": "not enrolled so far", "unauthorized": "never enrolled", "sync_delay": "the sync was late"}
    lag = "" if miss.lag_ms is None else f", by {length(miss.lag_ms)}"
    return f"refused this course {miss.times} times since {moment(miss.first_at)}: {became[miss.kind]}{lag}"


def _wrapped(label: str, value: str) -> Iterator[str]:
    indent = " " * 14
    text = f"  {label:<11} {printable(value)}"
    yield from textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [text]


def _value(value: str, whole: bool) -> str:
    return value if whole else redacted(value)


def _took(milliseconds: int) -> str:
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    return f"{milliseconds / 1000:.1f}s" if milliseconds < 60_000 else length(milliseconds)
