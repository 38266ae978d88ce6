"""The pages of the demo's IdP and start page, in the design of the bridge's own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

import bridge.pages

_HERE = Path(__file__).parent
SUBMIT = "document.forms[0].submit()"


def page(template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """The response for a template of this room."""
    html = _environment().get_template(template).render(**values)
    return HTMLResponse(html, status, _headers())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"style": Markup(_style()), "submit": Markup(SUBMIT)}  # noqa: S704  # our own texts
    return environment


@cache
def _headers() -> Mapping[str, str]:
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src '{_digest(_style())}'; script-src '{_digest(SUBMIT)}'; base-uri 'none'; "
            "frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


@cache
def _style() -> str:
    files = (Path(bridge.pages.__file__).with_name("style.css"), _HERE / "demo.css")
    return "".join(file.read_text("utf-8") for file in files)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
