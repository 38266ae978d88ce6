from __future__ import annotations

import json

import pytest

from bridge.errors import Code
from bridge.pages import MEDIA_TYPE, problem


@pytest.mark.parametrize("code", Code)
def test_a_problem_document_says_code_and_reference(code: Code) -> None:
    document = json.loads(problem(code, "amber-falcon-river"))
    assert document["code"] == str(code)
    assert document["reference"] == "amber-falcon-river"
    assert document["status"] == code.status
    assert document["type"] == "about:blank"
    assert set(document) == {"type", "title", "status", "detail", "code", "reference"}
    assert document["detail"].endswith(".")
    assert MEDIA_TYPE == "application/problem+json"


def test_a_more_exact_status_stands() -> None:
    document = json.loads(problem(Code.REQUEST_MALFORMED, "amber-falcon-river", 431))
    assert (document["status"], document["title"]) == (431, "Request Header Fields Too Large")
