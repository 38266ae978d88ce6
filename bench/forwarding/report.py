"""What came of it: a table to print or to put into the documentation, and every sample as a line of JSON."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.forwarding.load import Sample
from bench.forwarding.machine import ROOT, Busyness, pss_kib
from bench.forwarding.rows import TIMES, Row, Turns, Unit, ratios, refusal
from bench.forwarding.sides import Side

RESULTS = ROOT / "bench/results"
BEGIN, END = (
    "<!-- {name}: written by `python -m bench.forwarding`, as is all up to its end -->",
    "<!-- end of {name} -->",
)


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H%M%S")


class Report:
    """Tells what is found as it is found, and keeps it for the table. `about` is the machine, the day, the versions."""

    def __init__(self, about: Mapping[str, str], results: Path = RESULTS) -> None:
        self._about = about
        self._busyness = Busyness()
        self._rows: list[Row] = []
        self._details: list[str] = []
        self._lines = (results / f"{stamp()}.jsonl").open("w")
        self._line("about", about)

    def _line(self, kind: str, members: Mapping[str, object]) -> None:
        self._lines.write(json.dumps({"kind": kind, **members}, ensure_ascii=False) + "\n")
        self._lines.flush()

    def row(self, row: Row) -> None:
        self._rows.append(row)
        self._line("row", row.members())
        print("  " + " | ".join(filter(None, cells(row))), flush=True)

    def sides(self, unit: Unit, title: str, turns: Turns, sides: Mapping[str, Side]) -> None:
        """What each side did; memory is what it has after the last round."""
        for samples in turns.values():
            for number, sample in enumerate(samples):
                self._line("sample", {"run": title, "round": number, **asdict(sample)})
        columns = (
            "side",
            unit.rate,
            f"CPU, {unit.cost}",
            f"{TIMES} nginx",
            "p50 µs",
            "p99 µs",
            "cores busy",
            "PSS MiB",
            "errors",
        )
        lines = [side_cells(unit, name, turns, pss_kib(sides[name].roots)) for name in turns]
        self._details.append(f"{title}:\n\n{table(columns, lines)}")
        print(f"\n{self._details[-1]}\n", flush=True)

    def markdown(self) -> str:
        rows = table(("measure", "at most", "measured", "its rounds", "kept", ""), [cells(row) for row in self._rows])
        _, stolen = self._busyness.take()
        meanwhile = f"The host gave {stolen:.1%} of the cores' time to others meanwhile."
        return "\n\n".join([f"{introduction(self._about)} {meanwhile}", rows, *self._details])


def introduction(about: Mapping[str, str]) -> str:
    """The machine, the day and the versions, in two sentences."""
    when = f"{about['date']}, bridge {about['bridge']}, {about['machine']}, {about['system']};"
    return f"{when} {about['busy_before']} of it busy with other things before. {about['versions']}."


def cells(row: Row) -> tuple[str, ...]:
    if row.median is None:
        return (row.measure, row.target, "", "", "", row.note)
    digits = 2 if row.unit == TIMES else 1
    spread = f"{min(row.values):.{digits}f} - {max(row.values):.{digits}f}" if len(row.values) > 1 else ""
    kept = {True: "yes", False: "**no**", None: ""}[row.kept]
    return (row.measure, row.target, f"{row.median:.{digits}f} {row.unit}", spread, kept, row.note)


def side_cells(unit: Unit, name: str, turns: Turns, pss: int) -> tuple[str, ...]:
    def middle(figures: Iterable[float]) -> float:
        return statistics.median(figures)

    samples: Sequence[Sample] = turns[name]
    comparable = "nginx" in turns and not refusal(turns)
    against = f"{middle(ratios(turns, name, 'nginx')):.2f}" if comparable else ""
    return (
        name,
        f"{middle(s.rate for s in samples):,.3g}" if unit.scale == 1 else f"{middle(s.rate for s in samples):,.0f}",
        f"{middle(s.cost for s in samples) * unit.scale:.3g}",
        against,
        *(f"{middle(getattr(s, which) for s in samples):.0f}" if samples[0].p50 else "" for which in ("p50", "p99")),
        f"{middle(s.busy for s in samples):.2f}",
        f"{pss / 1024:.0f}",
        str(sum(s.errors for s in samples)),
    )


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """As Markdown."""
    rule = "|".join("---" for _ in columns)
    return "\n".join([f"| {' | '.join(columns)} |", f"|{rule}|", *(f"| {' | '.join(line)} |" for line in lines)])


def write(path: Path, name: str, text: str) -> None:
    """Put it between the two comments that mark its place. Raises `ValueError` where the document has none."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path} has no place for it: write {begin} and {end} there")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
