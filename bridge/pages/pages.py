"""The pages that a learner may meet between the deep link and the course.

They work without script and without anything from elsewhere, and say nothing but what the catalogues say: of a refusal,
only the code, the reference and the tenant's name reach a page, and how long a new assignment usually takes. The few
that have a script do by it at once what a button or a link of theirs does as well; a page's policy lets the script of
that page run and no other.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bridge.errors import Code
from bridge.pages.texts import Catalogue, catalogues, choose

ORGANIZATIONS = "/_bridge/organizations"
LOOK_AGAIN_SECONDS = range(5, 3601)

Script = Literal["post_form", "keep_fragment", "break_out", "look_again"]

_HERE = Path(__file__).parent
_ICONS = {
    Code.LOGIN_REQUIRED: "key",
    Code.SAML_REJECTED: "key",
    Code.SAML_MALFORMED: "key",
    Code.LOGIN_EXPIRED: "clock",
    Code.NOT_ENROLLED: "clock",
    Code.UPSTREAM_TIMEOUT: "clock",
    Code.IDENTIFIER_MISSING: "person",
    Code.USER_UNMATCHED: "person",
    Code.USER_AMBIGUOUS: "person",
    Code.USER_INACTIVE: "person",
    Code.USER_UNKNOWN: "cloud",
    Code.ENROLLMENT_UNKNOWN: "cloud",
    Code.TENANT_UNAVAILABLE: "cloud",
    Code.UPSTREAM_UNAVAILABLE: "cloud",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page and the headers that belong to it; status, `Bridge-Error` and cookies are the responder's."""

    html: str
    headers: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RefusalLinks:
    """Where a refusal page can lead: `retry` launches or signs in again, `organizations` asks for the tenant.

    Each is a path on this origin or an http(s) URL; anything else gets no link.
    """

    retry: str | None = None
    organizations: str | None = None


class Pages:
    """Makes every page. `service_name` is what learners know the platform as."""

    def __init__(self, service_name: str = "Learning") -> None:
        style = (_HERE / "style.css").read_text("utf-8")
        self._policy = f"default-src 'none'; style-src {_source(style)}; base-uri 'none'"
        self._scripts = {file.stem: file.read_text("utf-8") for file in _HERE.glob("scripts/*.js")}
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {"style": Markup(style), "service": service_name}  # noqa: S704  # the file beside this one
        catalogues()

    def refusal(
        self,
        code: Code,
        *,
        reference: str,
        language: str | None = None,
        tenant_name: str | None = None,
        links: RefusalLinks | None = None,
        look_again_after: int | None = None,
        usual: timedelta | None = None,
    ) -> Page:
        """The page for a code of the contract's section 6.

        `language` is the request's Accept-Language header here and below. With `look_again_after`, in seconds, the page
        looks again by itself, so that an enrollment that was late opens the course without a click. By script it asks
        for the head of its own address, as each `Retry-After` then says, and reads out what came of it; without, it
        reloads. `usual` is how long an enrollment usually takes to arrive, where that is known.
        """
        text = choose(language)
        return self._refusal(
            str(code),
            _ICONS.get(code, "link"),
            reference,
            text,
            tenant_name,
            links,
            look_again_after,
            _usual(text, usual) if code is Code.NOT_ENROLLED else None,
        )

    def post_expired(
        self,
        *,
        reference: str,
        language: str | None = None,
        tenant_name: str | None = None,
        links: RefusalLinks | None = None,
    ) -> Page:
        """`login_required` for a form that was sent after the session ended: what was typed cannot be sent again."""
        return self._refusal("post_expired", "clock", reference, choose(language), tenant_name, links)

    def organizations(
        self, *, language: str | None = None, next: str = "/", email: str = "", failed: bool = False
    ) -> Page:
        """The page that asks "which organisation are you with?" and posts `email` and `next` to `ORGANIZATIONS`.

        `failed` says that the address led nowhere, in the same words for every address: the list of customers is
        nobody's to read.
        """
        return self._page(
            "organizations.html",
            choose(language),
            form=True,
            action=ORGANIZATIONS,
            next=next,
            email=email,
            failed=failed,
        )

    def switch(
        self,
        *,
        current: str,
        other: str,
        action: str,
        stay: str,
        fields: Mapping[str, str] | None = None,
        language: str | None = None,
    ) -> Page:
        """Asks before a session is replaced: the button posts `fields` to `action`, the link leads to `stay`.

        `current` and `other` are the tenants' names; where they are equal, it is the person that changes.
        """
        return self._page(
            "switch.html",
            choose(language),
            form=True,
            current=current,
            other=other,
            person="person_" if current == other else "",
            action=action,
            fields=fields or {},
            stay=_safe(stay) or "/",
            organizations=ORGANIZATIONS,
        )

    def logged_out(
        self,
        *,
        language: str | None = None,
        sign_in: str | None = None,
        organizations: str | None = ORGANIZATIONS,
        elsewhere: bool | None = None,
    ) -> Page:
        """Says that the session has ended; `sign_in` is where a new one begins, `organizations` one with others.

        `elsewhere` says whether the organisation's own session was ended too (True), or could not be (False); None
        where nobody tried.
        """
        happened = {None: "happened", True: "happened_elsewhere", False: "happened_here_only"}[elsewhere]
        return self._page(
            "logged_out.html",
            choose(language),
            happened=f"logged_out.{happened}",
            sign_in=_safe(sign_in),
            organizations=_safe(organizations),
        )

    def post_form(
        self,
        *,
        language: str | None = None,
        action: str,
        fields: Mapping[str, str],
        purpose: Literal["login", "logout"] = "login",
        framed: bool = False,
    ) -> Page:
        """A form that sends itself to an IdP (SAML bindings, 3.5): by script, or by its button.

        `framed` lets it stand in a frame, for a tenant that signs in there. IdPs are told our origin, which they know,
        since some refuse a form without one. Raises `ValueError` where `action` is no http(s) URL.
        """
        if action.startswith("/") or not _safe(action):
            raise ValueError("a form is posted to an http(s) URL")
        page = self._page(
            "post_form.html",
            choose(language),
            form=True,
            framed=framed,
            script="post_form",
            action=action,
            fields=fields,
            purpose=purpose,
        )
        headers = [(name, "strict-origin" if name == "Referrer-Policy" else value) for name, value in page.headers]
        return Page(page.html, headers)

    def keep_fragment(self, *, language: str | None = None, login: str) -> Page:
        """Goes on to `login`, by script with the fragment of this page's address added to its parameter `next`."""
        return self._page("keep_fragment.html", choose(language), script="keep_fragment", login=_safe(login) or "/")

    def break_out(self, *, language: str | None = None, link: str, keep_fragment: bool = False) -> Page:
        """For a frame in which nobody can sign in: offers `link` for a tab of its own.

        With `keep_fragment` a script adds the fragment of this page's address to the link.
        """
        return self._page(
            "break_out.html",
            choose(language),
            script="break_out" if keep_fragment else None,
            link=_safe(link) or "/",
        )

    def _refusal(
        self,
        key: str,
        icon: str,
        reference: str,
        text: Catalogue,
        tenant: str | None,
        links: RefusalLinks | None,
        look_again_after: int | None = None,
        usual: str | None = None,
    ) -> Page:
        links = links or RefusalLinks()
        look_again = _look_again(text, look_again_after) if look_again_after is not None else None
        return self._page(
            "refusal.html",
            text,
            script="look_again" if look_again else None,
            key=f"refusals.{key}",
            icon_name=icon,
            reference=reference,
            tenant=tenant,
            helpdesk=text("helpdesk.known", tenant=tenant) if tenant else text("helpdesk.unknown"),
            retry=_safe(links.retry),
            organizations=_safe(links.organizations),
            look_again=look_again,
            usual=usual,
        )

    def _page(
        self,
        template: str,
        text: Catalogue,
        *,
        form: bool = False,
        framed: bool | None = None,
        script: Script | None = None,
        **values: object,
    ) -> Page:
        source = self._scripts[script] if script else ""
        html = self._templates.get_template(template).render(
            text=text,
            script=Markup(source),  # noqa: S704  # a file beside this one
            **values,
        )
        framed = not form if framed is None else framed
        return Page(html, self._headers(text.language, form=form, framed=framed, script=source))

    def _headers(self, language: str, *, form: bool, framed: bool, script: str) -> list[tuple[str, str]]:
        """A form must not be framed (clickjacking); other pages may be: portals open courses in frames.

        No `form-action` stands with a form: Chromium holds the redirects that follow to it, and these lead to the IdP.
        The referrer policy is `same-origin` because under `no-referrer` a form is sent with `Origin: null`.
        """
        policy = [
            self._policy,
            *([f"script-src {_source(script)}"] if script else []),
            *(["connect-src 'self'"] if "fetch(" in script else []),
            *([] if form else ["form-action 'none'"]),
            *([] if framed else ["frame-ancestors 'none'"]),
        ]
        return [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Language", language),
            ("Content-Security-Policy", "; ".join(policy)),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "same-origin"),
            ("Vary", "Accept-Language"),
            ("X-Content-Type-Options", "nosniff"),
            *([] if framed else [("X-Frame-Options", "DENY")]),
        ]


def _source(inline: str) -> str:
    """What a policy calls a style or script that stands in the page (CSP 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


@dataclass(frozen=True, slots=True)
class _LookAgain:
    """The interval within its bounds, the sentence that announces it, and those in which the script says what came of
    it: in them `#` stands for the number, and `@` for the time of day.
    """

    seconds: int
    announced: str
    looked_seconds: str
    looked_minutes: str
    opened: str


def _look_again(text: Catalogue, seconds: int) -> _LookAgain:
    seconds = min(max(seconds, LOOK_AGAIN_SECONDS[0]), LOOK_AGAIN_SECONDS[-1])
    unit, count = ("seconds", seconds) if seconds < 120 else ("minutes", round(seconds / 60))
    return _LookAgain(
        seconds,
        text(f"look_again.{unit}", count=str(count)),
        text("look_again.looked_seconds", count="#", time="@"),
        text("look_again.looked_minutes", count="#", time="@"),
        text("look_again.opened"),
    )


def _usual(text: Catalogue, usual: timedelta | None) -> str:
    """How long it takes, in the words of somebody who does not want to promise too much."""
    if usual is None:
        return text("usual.unknown")
    minutes = usual / timedelta(minutes=1)
    if steps := [step for step in (5, 10, 15, 20, 30, 45) if minutes <= step]:
        return text("usual.minutes", count=str(steps[0]))
    if minutes <= 60:
        return text("usual.hour")
    if steps := [step for step in (2, 3, 4, 6, 8, 12, 18) if minutes <= step * 60]:
        return text("usual.hours", count=str(steps[0]))
    days = math.ceil(minutes / (24 * 60))
    return text("usual.day") if days <= 1 else text("usual.days", count=str(days))


def _safe(link: str | None) -> str | None:
    """The link where a browser can only read it as a path on this origin or as an http(s) URL."""
    if not link or any(character <= " " or character in "\\\x7f" for character in link):
        return None
    if link.startswith("/"):
        return None if link.startswith("//") else link
    return link if urlsplit(link).scheme in ("http", "https") else None
