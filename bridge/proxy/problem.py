"""Answers for when there is no request that a page could be written for."""

from __future__ import annotations

import json
from http import HTTPStatus

from bridge.errors import Code


def fixed_answer(status: int, code: Code | None = None) -> bytes:
    """A whole answer with a problem document (RFC 9457), behind which the connection is closed."""
    title = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status}
    if code is not None:
        problem["code"] = str(code)
    body = json.dumps(problem).encode()
    head = (
        f"HTTP/1.1 {status} {title}\r\n"
        "Content-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        + (f"Bridge-Error: {code}\r\n" if code is not None else "")
        + "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
