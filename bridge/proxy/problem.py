"""Whole answers for when there is no request that a page could be written for; the connection closes behind them."""

from __future__ import annotations

import json
from http import HTTPStatus

from bridge.errors import Refusal
from bridge.pages import MEDIA_TYPE, problem


def refused(refusal: Refusal, reference: str) -> bytes:
    """For what never became a request."""
    return _answer(
        refusal.status, problem(refusal.code, reference, refusal.status), f"Bridge-Error: {refusal.code}\r\n"
    )


def failed(reference: str) -> bytes:
    """For a defect of ours. The contract has no code for one."""
    document = {"type": "about:blank", "title": "Internal Server Error", "status": 500, "reference": reference}
    return _answer(500, json.dumps(document).encode())


def _answer(status: int, body: bytes, line: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n{line}"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
