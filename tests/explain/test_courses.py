"""A gate that does not open, and what would open it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.explain.desk import Desk

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("courses.yaml").read_text())
JANE = {"id": "jane", "remote_id": "x-1"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_case(desk: Desk, case: dict[str, Any]) -> None:
    desk.load({"acme": {"identity": ["name_id"], **case.get("tenant", {})}})
    rows = {"people": [JANE], "courses": case.get("courses", []), "progressions": case.get("progressions", [])}
    await desk.fill(desk.tenant("acme").integration_id, rows, synced=case.get("synced", True))
    told = await desk.explain(desk.response(), course=case.get("course", "cybersecurity-101"))
    assert told.course is not None
    assert (told.course.open, told.course.outcome) == (told.passes, case["outcome"])
    assert (told.change and told.change.case) == case.get("change")
    for text in case.get("text", []):
        assert told.change and text in told.change.text, told.change


async def test_nobody_matched_and_no_course_is_asked_for(desk: Desk) -> None:
    desk.load({"acme": {"identity": ["name_id"]}})
    told = await desk.explain(desk.response(), course="cybersecurity-101")
    assert (told.course, told.outcome) == (None, "user_unknown")
