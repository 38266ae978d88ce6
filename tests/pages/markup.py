"""A strict reading of the pages: what a browser would forgive is an error here."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "input", "link", "br", "img", "hr"}
SELF_CLOSED = {"path", "circle", "rect", "line", "ellipse", "polyline", "use"}
URL_ATTRIBUTES = {"src", "srcset", "poster", "background", "data", "xlink:href", "ping", "formaction"}


class Document(HTMLParser):
    """One page; `problems` says where it is not well-formed, reaches outside, or would need inline style.

    A script may stand at its end, and only there; `script` is its text.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.script = ""
        self._open: list[str] = []
        if not html.startswith("<!doctype html>\n"):
            self.problems.append("no doctype")
        self.feed(html)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self._open]
        self._check_structure()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        self.problems += [f"<{tag}> says {name} twice" for name in set(names) if names.count(name) > 1]
        self.problems += [f"<{tag}> has {name}" for name in names if name.startswith("on") or name == "style"]
        if "target" in names and (dict(attrs)["target"], dict(attrs).get("rel")) != ("_blank", "noopener"):
            self.problems.append(f"<{tag}> opens a tab that could reach back")
        self.problems += [f"<{tag}> loads {value}" for name, value in attrs if name in URL_ATTRIBUTES]
        if tag in {"iframe", "object", "embed", "base"} or (
            tag == "script" and (attrs or self._open != ["html", "body"])
        ):
            self.problems.append(f"<{tag}>")
        if tag in SELF_CLOSED:
            self.problems.append(f"<{tag}> is not closed")
        self.elements.append(("svg title" if tag == "title" and "svg" in self._open else tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in SELF_CLOSED:
            self.problems.append(f"<{tag}/> is not how HTML closes it")
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.script += data
        elif self._open and self._open[-1] != "style" and data.strip():
            self.text.append(re.sub(r"[ \t\r\n]+", " ", data).strip(" "))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def _check_structure(self) -> None:
        for tag in ("html", "head", "title", "body", "header", "main", "h1"):
            if len(self.all(tag)) != 1:
                self.problems.append(f"{len(self.all(tag))} <{tag}>")
        if len(self.all("script")) > 1:
            self.problems.append("more than one <script>")
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        self.problems += [f"id {id} twice" for id in set(ids) if ids.count(id) > 1]
        for _, attributes in self.elements:
            for name in ("for", "aria-labelledby", "aria-describedby"):
                if name in attributes and attributes[name] not in ids:
                    self.problems.append(f"{name} names {attributes[name]}, which is not there")
        if not (self.all("html") and self.all("html")[0].get("lang")):
            self.problems.append("no lang")
