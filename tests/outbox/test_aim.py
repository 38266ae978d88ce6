"""Which effect a report has, as a table of what is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.outbox.aim import Fresh, Known, Same, of_completion, of_enrolment
from bridge.store.lookups import Enrollment
from bridge.store.outbox import ALREADY, Entry, effect_on

HOUR = 3600 * 1000
NUMBER = 7
CASES = yaml.safe_load((Path(__file__).parent / "aims.yaml").read_text())


def enrollment(text: str) -> Enrollment:
    id, status, *moments = text.split()
    changed, enrolled = [int(moment) * HOUR for moment in moments] + [None] * (2 - len(moments))
    assert changed is not None
    return Enrollment(id, status, changed, changed, enrolled)


def prior(kind: str, text: str) -> Entry:
    state, progression, already, *_ = [*text.split(), None, None]
    settled = None if state == "waiting" else 101 * HOUR
    code = ALREADY if already else None
    known: Any = {"kind": kind, "state": state, "sending": None}
    return Entry(
        number=NUMBER,
        id="the prior one",
        tenant="acme",
        integration_id="workday:x",
        user_id="U",
        course="c",
        progression_id=progression,
        effect=effect_on("workday:x", progression or ""),
        completed_at=100 * HOUR,
        score=None,
        source="api",
        attempts=0,
        refused=0,
        not_before=0,
        sent_at=None,
        created_at=100 * HOUR,
        settled_at=settled,
        code=code,
        message=None,
        **known,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_effect_of_a_report(case: dict[str, Any]) -> None:
    kind = case.get("kind", "complete")
    before = prior(kind, case["prior"]) if "prior" in case else None
    writes = before and before.state != "dead" and before.progression_id and before.code != ALREADY
    known = Known(
        [enrollment(text) for text in case["live"]],
        before,
        before if writes else None,
        case.get("withdrawn", False),
    )
    aim = of_enrolment(known) if kind == "enroll" else of_completion(known, case.get("at", 110) * HOUR)
    match case["aim"].split():
        case ["new", "without", "after"]:
            assert aim == Fresh(None, NUMBER)
        case ["new", "without"]:
            assert aim == Fresh(None)
        case ["new", progression]:
            assert aim == Fresh(progression)
        case ["same"]:
            assert aim == Same("the prior one")
        case ["nothing"]:
            assert aim == Same(None)
        case other:
            raise AssertionError(other)
