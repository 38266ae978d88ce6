"""The admin page's templates, and the headers that belong to every answer of it.

Whatever is written into a template has its markup escaped, and U+FFFD in place of each character that would not be
seen, or would turn the text around it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse
from starlette.types import Message, Send

from bridge.admin import words
from bridge.printable import printable

_HERE = Path(__file__).parent


def answer(
    template: str, values: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page; from any thread."""
    return HTMLResponse(_environment().get_template(template).render(values), status, headers)


def with_headers(send: Send) -> Send:
    """What sends the same with those of `headers` that an answer does not have already."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in headers().items():
                own.setdefault(name, value)
        await send(message)

    return sending


@cache
def headers() -> Mapping[str, str]:
    """Nothing is loaded, from anywhere; nothing runs; nobody frames it; and nothing is kept."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors"
            " 'none'"
        ),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


@cache
def _style() -> str:
    return (_HERE / "style.css").read_text("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup(_style())  # noqa: S704  # the file beside this one
    environment.filters |= {
        name: getattr(words, name) for name in ("clock", "coded", "count", "cut", "iso", "length_of", "ms", "rate")
    }
    return environment


def _seen(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
