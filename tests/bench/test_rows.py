"""The bench prints a ratio only where it means something."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.forwarding import report
from bench.forwarding.load import Sample
from bench.forwarding.machine import ROOT
from bench.forwarding.rows import Row, Turns, compared, refusal

MARKED = f"before\n{report.BEGIN.format(name='table')}\n{{}}\n{report.END.format(name='table')}\nbehind\n"


def turns(*, busy: float = 0.9, errors: int = 0) -> Turns:
    """nginx at 10 µs a request, and the bridge at 30 and 40."""
    seconds = 1000 * 10e-6 / busy
    nginx = Sample("nginx", 1000, seconds, 1000 * 10e-6, 0)
    return {
        "nginx": [nginx, nginx],
        "bridge": [Sample("bridge", 1000, 1, 1000 * cost * 1e-6, errors) for cost in (30, 40)],
    }


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    row = compared("CPU", "", 3.4, turns(), "bridge", "nginx", {})
    assert row.values == pytest.approx([3, 4])
    assert row.median == pytest.approx(3.5)
    assert row.kept is False


def test_no_ratio_where_the_load_was_the_limit() -> None:
    row = compared("CPU", "", 3.4, turns(busy=0.29), "bridge", "nginx", {})
    assert row.values == [] and row.kept is None and "29%" in row.note


def test_no_ratio_with_errors() -> None:
    assert "bridge had 2 errors" in refusal(turns(errors=1))


def test_a_side_that_is_not_there_leaves_its_row_empty() -> None:
    row = compared("CPU", "", 1.0, turns(), "bridge", "mellon", {"mellon": "apt-get install it"})
    assert row.values == [] and row.note == "apt-get install it"


def test_a_row_without_a_target_is_neither_kept_nor_not() -> None:
    assert Row("anything", "", values=[1.0]).kept is None


def test_the_document_keeps_what_stands_around(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(MARKED.format("old"))
    report.write(path, "table", "new")
    report.write(path, "table", "newest")
    assert path.read_text() == MARKED.format("\nnewest\n")


def test_a_document_without_a_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        report.write(path, "table", "new")
    assert path.read_text() == "nothing"


@pytest.mark.parametrize("name", ["table", "profile"])
def test_the_documentation_has_a_place_for_it(tmp_path: Path, name: str) -> None:
    page = tmp_path / "performance.md"
    page.write_text((ROOT / "docs/performance.md").read_text())
    report.write(page, name, "found")
    assert "\n\nfound\n\n" in page.read_text()
