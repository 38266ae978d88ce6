"""When each model is due, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.directory import schedule
from bridge.settings.model import Kombo
from bridge.store.rows import MODELS, Model
from bridge.store.syncs import Progress

CASES = yaml.safe_load((Path(__file__).parent / "schedule.yaml").read_text())
NOW = 1_800_000_000_000
MINUTE = 60_000
KOMBO = Kombo(api_key="key")


def noted(model: Model, minutes: dict[str, Any]) -> Progress:
    values = {
        name: NOW - round(value * MINUTE) if name.endswith("_at") or name == "as_of" else value
        for name, value in minutes.items()
    }
    return Progress(integration_id="i", model=model, **values)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_when_a_model_is_due(case: dict[str, Any]) -> None:
    known = {} if case["noted"] is None else {"users": noted("users", case["noted"])}
    due = schedule.due(known, KOMBO, NOW)[0]
    assert due.at == pytest.approx(NOW + case["at"] * MINUTE, abs=60)
    assert due.full is case["full"]


def test_what_falls_due_together_is_read_together() -> None:
    def known(*minutes: float) -> dict[Model, Progress]:
        return {
            model: noted(model, {"started_at": ago, "finished_at": ago, "full_at": 100})
            for model, ago in zip(MODELS, minutes, strict=True)
        }

    assert [due.model for due in schedule.turn(known(15, 14.9, 14), KOMBO, NOW)] == list(MODELS)
    assert [due.model for due in schedule.turn(known(15, 14.9, 7), KOMBO, NOW)] == ["users", "courses"]
    assert schedule.turn(known(14.9, 14.8, 14), KOMBO, NOW) == []


def test_what_has_failed_waits_for_its_own_time() -> None:
    known: dict[Model, Progress] = {
        "users": noted("users", {"started_at": 15, "finished_at": 15, "full_at": 100}),
        "courses": noted("courses", {"started_at": 15, "full_at": 100, "failures": 1, "retry_at": -0.5}),
        "progressions": noted("progressions", {"started_at": 14.5, "finished_at": 14.5, "full_at": 100}),
    }
    assert [due.model for due in schedule.turn(known, KOMBO, NOW)] == ["users", "progressions"]


def test_pauses_double_up_to_the_ordinary_interval() -> None:
    pauses = [(schedule.retry_at(failures, KOMBO, NOW, None) - NOW) // 1000 for failures in (1, 2, 3, 6, 7, 1000)]
    assert pauses == [30, 60, 120, 900, 900, 900]
    assert schedule.retry_at(1, KOMBO, NOW, 200.0) == NOW + 200_000
    assert schedule.retry_at(4, KOMBO, NOW, 10.0) == NOW + 240_000
