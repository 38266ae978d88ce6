"""The pack as one HTML file for the customer's IT: no script, nothing from elsewhere, fit for email and for paper."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bridge.onboarding.pack import Pack

_HERE = Path(__file__).parent


def as_page(pack: Pack) -> str:
    """The whole document; every value in it is escaped."""
    style = (_HERE / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            pack=pack,
            style=Markup(style),  # noqa: S704  # the file beside this one
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
            metadata=f"data:application/samlmetadata+xml;base64,{base64.b64encode(pack.metadata).decode()}",
        )
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
