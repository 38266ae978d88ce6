"""The page for the customer's IT: one file that is nothing but text, whatever is in the settings."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from bridge.onboarding.facts import idps
from tests.onboarding.conftest import Desk

HOSTILE = yaml.safe_load((Path(__file__).parent / "hostile.yaml").read_text("utf-8"))
VOID = {"meta", "br", "img", "link", "input", "hr"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "h1", "h2", "h3", "p", "span"),
    *("dl", "dt", "dd", "ol", "ul", "li", "code", "pre", "b", "a", "details", "summary"),
}


class Reader(HTMLParser):
    """Reads a document strictly: every element is closed where it should be, and all are known."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
            self.text.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text[self.open[-1]][-1] += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text("utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def page_of(desk: Desk, *arguments: str) -> Path:
    page = desk.deployment.folder / "acme.html"
    said = desk("new", "acme", "--page", str(page), *arguments)
    assert (said.code, said.err) == (0, "")
    return page


@pytest.mark.parametrize("idp", idps())
def test_it_is_well_formed_and_says_every_value(desk: Desk, idp: str) -> None:
    reader = read(page_of(desk, "--idp", idp))
    pack = desk.new("other", "--idp", idp)
    code = {text.replace("/acme/", "/other/") for text in reader.text["code"]}
    values = {field["value"] for step in pack["steps"] for field in step["fields"] if field["value"]}
    assert values | set(pack["addresses"].values()) | {pack["login"]} <= code
    pre = [
        text.strip().replace("/acme/", "/other/").replace('"acme"', '"other"') for text in reader.text.get("pre", [])
    ]
    assert pre == [copy.strip() for step in pack["steps"] for copy in step["copy"]]


def test_it_asks_nobody_for_anything(desk: Desk) -> None:
    reader = read(page_of(desk, "--idp", "okta"))
    links = [(tag, value) for tag, name, value in reader.attributes if name in ("href", "src", "action", "srcset")]
    assert [(tag, value[:33]) for tag, value in links] == [("a", "data:application/samlmetadata+xml")]
    assert b"EntityDescriptor" in base64.b64decode(links[0][1].partition(",")[2])
    [style] = reader.text["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert ("meta", "content", policy) in reader.attributes
    assert not re.search(r"url\(|@import", style)
    assert not any(name.startswith("on") or name == "style" for _, name, _ in reader.attributes)


@pytest.mark.parametrize("name", HOSTILE["names"])
def test_a_name_is_nothing_but_text(desk: Desk, name: str) -> None:
    reader = read(page_of(desk, "--idp", "okta", "--name", name, "--attribute", name))
    assert reader.text["h1"] == [f"Single sign-on to Learning for {name}"]
    assert name in reader.text["code"]


def test_it_has_the_platforms_own_name(desk: Desk) -> None:
    desk.deployment.service["pages"] = {"name": "Lern & Welt"}
    desk.deployment.write()
    assert read(page_of(desk, "--idp", "okta")).text["title"] == ["Single sign-on to Lern & Welt for acme"]
