"""Each case of `people.yaml` gets its diagnosis; what is proposed for the tenant's file works, and names nobody."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.explain.text import lines
from tests.explain.desk import Desk

FILE: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("people.yaml").read_text())
CASES: list[dict[str, Any]] = FILE["cases"]


def people(named: Any) -> list[dict[str, Any]]:
    return FILE["sets"][named] if isinstance(named, str) else named


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(case["name"] for case in CASES).items() if count > 1] == []


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_case(desk: Desk, case: dict[str, Any]) -> None:
    desk.load({"acme": case["tenant"]})
    await desk.fill(
        desk.tenant("acme").integration_id, {"people": people(case["people"])}, synced=case.get("synced", True)
    )
    for slug, rows in case.get("others", {}).items():
        await desk.fill(desk.tenant(slug).integration_id, {"people": rows})
    response = desk.response(**case["says"])
    told = await desk.explain(response)
    assert (told.outcome, told.passes, told.verified) == (case["code"], False, True)
    change = told.change
    assert change is not None
    assert change.case == case["change"], change.text
    assert change.side == case.get("side", change.side)
    shown = " ".join("\n".join(lines(told, values=False)).split())
    for text in case.get("text", []):
        assert text.lower() in shown.lower(), shown
    for secret in case.get("secret", []):
        proposed = change.text + (change.write.yaml if change.write else "")
        assert not re.search(secret, proposed), proposed
    if "yaml" in case:
        assert change.write is not None
        assert change.write.yaml == case["yaml"]
    if change.write is not None:
        before = Path(desk.folder / "tenants" / "acme.yaml").read_text().splitlines()
        assert before[change.write.line - 1].startswith("identity:")
        desk.apply("acme", change.write.yaml)
        after = await desk.explain(response)
        assert after.passes, after.reason
        assert after.user == "jane" or case["name"].startswith("two people")
