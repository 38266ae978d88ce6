"""`POST /completions`: what is taken, and what the engineer reads where it is not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.errors import Code, Refusal
from bridge.front.completion_body import read

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("bodies.yaml").read_text("utf-8"))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def written(case: dict[str, Any]) -> bytes:
    return re.sub(r"\{(\S+?)\*(\d+)\}", lambda found: found[1] * int(found[2]), case["body"]).encode()


@pytest.mark.parametrize("case", CASES["taken"], ids=lambda case: case["body"])
def test_is_taken(case: dict[str, Any]) -> None:
    reported = read(written(case), NOW)
    assert (reported.tenant, reported.score) == ("acme", case.get("score"))
    assert (reported.user, reported.remote_id) in (("u1", None), (None, "E1,E2"))
    assert (reported.completed_at.isoformat() if reported.completed_at else None) == case.get("at")


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: case["body"][:90])
def test_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=re.escape(case["says"])) as caught:
        read(written(case), NOW)
    assert (caught.value.code, caught.value.status) == (Code.REQUEST_MALFORMED, 400)


@pytest.mark.parametrize("body", [b"\xff\xfe", b'\xef\xbb\xbf{"tenant": "acme"}', b'{"tenant": "\xe4"}'])
def test_other_encodings_are_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="UTF-8"):
        read(body, NOW)
