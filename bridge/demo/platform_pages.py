"""How the demo platform looks: a course on the left, what the request carried on the right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

BRAND = "Northlight Academy"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
CHAPTERS = {
    "Welcome": 0.1,
    "Why it matters": 0.2,
    "A day in practice": 0.3,
    "What to do when in doubt": 0.25,
    "Check what you know": 0.15,
}
"""The same for every course, with the part of its time that each takes."""
MEANINGS = {
    "x-kombo-user": "the learner, as Kombo knows them",
    "x-kombo-remote-id": "the learner, as their LMS knows them",
    "x-kombo-name": "their name",
    "x-kombo-email": "their work email",
    "x-kombo-tenant": "the end-customer",
    "x-kombo-integration": "the customer's Kombo integration",
    "x-kombo-course": "the course that was opened",
    "x-kombo-enrollment": "why it is open to them",
    "x-kombo-progression": "the record of their progress",
    "x-kombo-assertion": "all of this again, signed",
}
NAMES = {name: "-".join(part.capitalize() for part in name.split("-")) for name in MEANINGS}


@dataclass(frozen=True, slots=True)
class Course:
    """One course of this platform; `minutes` long."""

    title: str
    description: str
    minutes: int


@dataclass(frozen=True, slots=True)
class View:
    """What one page shows."""

    page: str
    course: str | None
    courses: Mapping[str, Course]
    received: Mapping[str, Any]
    verified: bool
    reason: str
    claims: Mapping[str, Any]
    home: str | None

    @property
    def identity(self) -> Mapping[str, str]:
        identity: Mapping[str, str] = self.received["identity"]
        return identity

    @property
    def learner(self) -> str:
        """The best name that the headers offer; empty where nobody is signed in."""
        names = (self.identity.get(f"x-kombo-{name}", "") for name in ("name", "email", "remote-id", "user"))
        return next((name for name in names if name), "")

    @property
    def lesson(self) -> Course:
        """The course that is shown; a plain one stands in for an id that the platform does not know."""
        name = self.course or "A course"
        return self.courses.get(name) or Course(name.replace("-", " ").capitalize(), "A course of this platform.", 30)

    @property
    def title(self) -> str:
        if self.page in ("course", "finished"):
            return self.lesson.title
        return "My learning" if self.page == "my" else "Courses"


def render(view: View) -> str:
    body = {"course": _course, "finished": _finished, "my": _my, "catalogue": _catalogue}[view.page](view)
    back = f'<a href="{escape(view.home)}">Back to the start page</a>' if view.home else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/platform.css">
<title>{escape(view.title)} · {BRAND}</title>
</head>
<body>
<header>
<a class="brand" href="/"><img src="/static/icon.svg" alt="" width="28" height="28">{BRAND}</a>
<nav aria-label="Main">{_navigation(view)}</nav>
{_who(view)}
</header>
<main>
{body}
{_raw(view)}
</main>
<footer><p>A demo platform: it reads headers and knows nothing else. {back}</p></footer>
</body>
</html>
"""


def _navigation(view: View) -> str:
    here = {"catalogue": "/", "my": "/my"}.get(view.page)
    links = (("/", "Courses"), ("/my", "My learning"))
    return "".join(
        f'<a href="{path}"{" aria-current=page" if path == here else ""}>{label}</a>' for path, label in links
    )


def _who(view: View) -> str:
    if not view.learner:
        return '<p class="who">Not signed in</p>'
    initials = "".join(word[0] for word in view.learner.split()[:2]).upper()
    return (
        f'<p class="who"><span class="avatar" aria-hidden="true">{escape(initials)}</span>{escape(view.learner)}'
        '<a href="/_bridge/logout">Sign out</a></p>'
    )


def _course(view: View) -> str:
    chapters = "".join(
        f"<li><span>{title}</span><span>{max(1, round(part * view.lesson.minutes))} min</span></li>"
        for title, part in CHAPTERS.items()
    )
    finish = f"/courses/{quote(view.course or '', safe='')}/finish"
    return f"""<div class="columns">
<div>
<p class="crumb">Course</p>
<h1>{escape(view.title)}</h1>
<p class="facts">{escape(view.lesson.description)}</p>
<div class="player" role="img" aria-label="A video player (only a picture in this demo)">
<svg viewBox="0 0 640 360" aria-hidden="true" focusable="false">
<circle cx="505" cy="100" r="46" class="sun"/>
<path class="far" d="M0 268 120 190l92 62 128-118 140 120 60-44 100 70v100H0z"/>
<path class="near" d="M0 318 150 246l130 66 140-82 220 110v20H0z"/>
<circle cx="320" cy="176" r="40" class="disc"/><path class="play" d="m308 156 34 20-34 20z"/>
<path class="track" d="M28 332h584"/><path class="done" d="M28 332h142"/><circle cx="170" cy="332" r="7" class="knob"/>
</svg>
</div>
<ol class="chapters">{chapters}</ol>
<form method="post" action="{escape(finish)}"><button>Finish course</button></form>
</div>
{_panel(view)}
</div>"""


def _finished(view: View) -> str:
    back = f"/courses/{quote(view.course or '', safe='')}"
    return f"""<div class="columns">
<div>
<p class="crumb">Course finished</p>
<h1>Well done{escape(", " + view.learner.split()[0]) if view.learner else ""}!</h1>
<p class="facts">You have finished “{escape(view.title)}”. The bridge saw this request and tells your LMS.</p>
<p><a class="button" href="{escape(back)}">Back to the course</a></p>
</div>
{_panel(view)}
</div>"""


def _my(view: View) -> str:
    return f"""<div class="columns">
<div>
<p class="crumb">My learning</p>
<h1>Hello{escape(" " + view.learner.split()[0]) if view.learner else ""}</h1>
<p class="facts">A page for whoever is signed in: it belongs to no course, so the headers name none.</p>
<p><a class="button" href="/">All courses</a></p>
</div>
{_panel(view)}
</div>"""


def _catalogue(view: View) -> str:
    cards = "".join(
        f'<li><a href="/courses/{quote(origin_id, safe="")}"><strong>{escape(course.title)}</strong>'
        f"<code>{escape(origin_id)}</code></a></li>"
        for origin_id, course in view.courses.items()
    )
    return f"""<div class="columns">
<div>
<p class="crumb">Catalogue</p>
<h1>Courses</h1>
<p class="facts">Anybody may look around here; whoever is signed in is greeted by name.</p>
<ul class="cards">{cards}</ul>
</div>
{_panel(view)}
</div>"""


def _panel(view: View) -> str:
    """What the platform relies on: the identity headers, and whether the signed assertion holds."""
    badge = "good" if view.verified else "bad"
    words = "Signature verified" if view.verified else "Not verified"
    rows = "".join(_identity_row(name, view.identity.get(name, "")) for name in MEANINGS)
    return f"""<section class="panel" aria-labelledby="received">
<h2 id="received">What this platform received</h2>
<p class="badge {badge}"><strong>{words}</strong> {escape(view.reason)}</p>
<dl>{rows}</dl>
</section>"""


def _identity_row(name: str, value: str) -> str:
    shown = f"{value[:18]}…{value[-10:]}" if len(value) > 120 else value
    text = f"<code>{escape(shown)}</code>" if value else '<span class="empty">empty</span>'
    return f"<div><dt><code>{NAMES[name]}</code><span>{MEANINGS[name]}</span></dt><dd>{text}</dd></div>"


def _raw(view: View) -> str:
    lines = "".join(_header_line(name, value) for name, value in view.received["headers"])
    return f"""<div class="columns raw">
<section aria-labelledby="request"><h2 id="request">The whole request</h2>
<pre tabindex="0"><code><b>{escape(view.received["request"])}</b>
{lines}</code></pre></section>
<section aria-labelledby="claims"><h2 id="claims">The signed assertion, decoded</h2>
<pre tabindex="0"><code>{_claims(view.claims)}</code></pre></section>
</div>"""


def _header_line(name: str, value: str) -> str:
    line = f"{escape(NAMES.get(name, name))}: {escape(value)}\n"
    return f"<mark>{line}</mark>" if name.startswith("x-kombo-") else line


def _claims(claims: Mapping[str, Any]) -> str:
    if not claims:
        return "Nothing that can be believed."
    lines: Sequence[str] = [
        f"  <i>{escape(json.dumps(name))}</i>: {escape(json.dumps(value, ensure_ascii=False))}"
        for name, value in claims.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}"
