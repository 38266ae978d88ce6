"""The refusal as a program reads it: a problem document (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus

from bridge.errors import Code
from bridge.pages.texts import DEFAULT, catalogues

MEDIA_TYPE = "application/problem+json"


def problem(code: Code, reference: str, status: int | None = None, *, detail: str | None = None) -> bytes:
    """The body for `MEDIA_TYPE`, in English.

    `type` is `about:blank`, so that `title` is the status's own phrase (RFC 9457, 4.2.1): what a program decides on is
    `code`. `status` differs from the code's own only where HTTP has a more exact one. `detail` is what a learner would
    read, unless said.
    """
    status = status or code.status
    text = catalogues()[DEFAULT]
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail or f"{text(f'refusals.{code}.title')}. {text(f'refusals.{code}.happened')}",
        "code": str(code),
        "reference": reference,
    }
    return json.dumps(document, ensure_ascii=False).encode()
