"""Which progressions open a course: every case of `progressions.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.errors import Code, Refusal
from bridge.kombo.model import Course, Parent, Progression, ProgressionRevision, Revision
from tests.support.directories import LONG_AGO, Directory, person

CASES = yaml.safe_load(Path(__file__).with_name("progressions.yaml").read_text("utf-8"))
COURSES = {"r1": "c1", "r2": "c1", "renewed": "c2", "withdrawn": "c3", "other": "c4"}
ORIGINS = {"c1": "safety", "c2": "safety", "c3": "safety", "c4": "another"}


@dataclass(frozen=True)
class Case:
    """A progression as the file has it; by default the learner's own, which names the course of its revision."""

    revision: str
    status: str | None
    more: dict[str, Any]

    def progression(self, number: int) -> Progression:
        course = self.more.get("course", COURSES.get(self.revision))
        moment = LONG_AGO + timedelta(days=self.more.get("day", 1))
        return Progression(
            id=self.more.get("id", f"p{number}"),
            user_id=self.more.get("user", "u1"),
            course_revision_id=self.revision,
            changed_at=moment,
            status=self.status,
            remote_deleted_at=moment if self.more.get("deleted") else None,
            course_revision=ProgressionRevision(self.revision, Parent(course) if course else None),
        )


def course(id: str) -> Course:
    revisions = tuple(Revision(name, name, LONG_AGO) for name, parent in COURSES.items() if parent == id)
    deleted = LONG_AGO if id == "c3" else None
    return Course(id, id, LONG_AGO, origin_id=ORIGINS[id], revisions=revisions, remote_deleted_at=deleted)


async def said(filled: Directory, case: dict[str, Any]) -> tuple[str | None, str | None]:
    """The enrollment and the progression by which the gate opens, or none."""
    has = [Case(row[0], row[1], row[2] if len(row) > 2 else {}) for row in case["has"]]
    await filled.fill(courses=map(course, ORIGINS), progressions=[row.progression(n) for n, row in enumerate(has)])
    await filled.synced()
    try:
        access = await filled.gate.check(filled.tenant, person(), "safety")
    except Refusal as refusal:
        assert refusal.code is Code.NOT_ENROLLED
        return None, None
    assert (access.course, access.gate) == ("safety", "fresh")
    return access.enrollment, access.progression if "by" in case else None


async def test_each_case(filled: Directory) -> None:
    found = {case["name"]: await said(filled.another(case["name"]), case) for case in CASES}
    assert found == {case["name"]: (case["opens"], case.get("by")) for case in CASES}


@pytest.mark.parametrize("known", [True, False], ids=["matched", "unmatched"])
async def test_a_library_is_open_to_all_and_names_a_progression_where_there_is_one(
    filled: Directory, known: bool
) -> None:
    gate = filled.tenant.gate.model_copy(update={"default": "library"})
    library = filled.tenant.model_copy(update={"gate": gate, "unmatched": "pass"})
    await filled.fill(courses=map(course, ORIGINS), progressions=[Case("r1", "ENROLLED", {}).progression(7)])
    access = await filled.gate.check(library, person() if known else None, "safety")
    assert (access.enrollment, access.gate) == ("LIBRARY", "library")
    assert access.progression == ("p7" if known else None)
    unheard = await filled.gate.check(library, person() if known else None, "nobody has heard of it")
    assert unheard.progression is None
