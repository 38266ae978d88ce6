"""Kombo's answers to bulk tasks, and what of them is believed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from bridge.courses.fates import fates
from bridge.kombo.model import BulkTask

CASES = yaml.safe_load((Path(__file__).parent / "answers.yaml").read_text(encoding="utf-8"))
SENT = frozenset({"a", "b"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_an_answer_means(case: dict[str, Any]) -> None:
    text = re.sub(r"\$\{(\d+)\}", lambda found: "x" * int(found[1]), msgspec.json.encode(case["answer"]).decode())
    found = fates(msgspec.json.decode(text, type=BulkTask), "t", SENT)
    if case.get("pending"):
        assert found is None
        return
    assert found is not None
    assert found.keys() == SENT
    for origin_id, fate in found.items():
        said = fate.course_id or f"{fate.code}|{fate.message}"
        expected = case.get("fates", {}).get(
            origin_id, f"|Kombo's answer cannot be believed: {case.get('unbelievable')};"
        )
        assert said == expected if fate.course_id else said.startswith(expected), said
        assert said.isprintable()
        assert len(said) < 1100
