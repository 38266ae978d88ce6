"""The pages that a learner may meet between the deep link and the course.

They work without script and without anything from elsewhere, and say nothing but what the catalogues say: of a refusal,
only the code, the reference and the tenant's name reach a page, and how long a new assignment usually takes. The few
that have a script do by it at once what a button or a link of theirs does as well; a page's policy lets the script of
that page run and no other.
"""

from __future__ import annotations

import base64
import hashlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import structlog
from cachetools import LRUCache

from bridge.errors import Code
from bridge.pages.look import PLAIN, Customer, Look
from bridge.pages.press import Press
from bridge.pages.texts import Catalogue, catalogues, choose
from bridge.pages.waits import look_again, usually

ORGANIZATIONS = "/_bridge/organizations"
LOOKS = 256

Script = Literal["post_form", "keep_fragment", "break_out", "look_again"]

_SCRIPTS = {file.stem: file.read_text("utf-8") for file in Path(__file__).parent.glob("scripts/*.js")}
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

log = structlog.get_logger()


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


class Looks:
    """The pages of every tenant, each in its own look. `service` gives the look that the deployment has now."""

    def __init__(self, service: Callable[[], Look] = lambda: PLAIN) -> None:
        self._service = service
        self._made: LRUCache[Look, Pages] = LRUCache(LOOKS)
        catalogues()

    def of(self, tenant: Customer | None = None) -> Pages:
        """The tenant's pages; the deployment's where nobody knows the tenant. Reads no file but the bridge's own."""
        look = tenant.look.over(self._service()) if tenant else self._service()
        pages = self._made.get(look)
        if pages is None:
            pages = self._made[look] = Pages(look)
        return pages


class Pages:
    """Makes every page in one look.

    A page must not fail for its look: where a template of somebody's own does, the bridge's own serves instead. Unless
    `strict`: then the error is raised, for whoever wants to know.
    """

    def __init__(self, look: Look = PLAIN, *, strict: bool = False) -> None:
        self._press = Press(look)
        self._support = look.support is not None
        pictures = "; img-src data:" if look.logo or look.templates else ""
        self._policy = f"default-src 'none'; style-src {_source(self._press.style)}{pictures}; base-uri 'none'"
        self._instead = Pages(replace(look, templates=())) if look.templates and not strict else None

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
            usually(text, usual) if code is Code.NOT_ENROLLED else None,
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
        looks = look_again(text, look_again_after) if look_again_after is not None else None
        return self._page(
            "refusal.html",
            text,
            script="look_again" if looks else None,
            reference=reference,
            key=f"refusals.{key}",
            icon_name=icon,
            tenant=tenant,
            whom=self._whom(text, tenant),
            retry=_safe(links.retry),
            organizations=_safe(links.organizations),
            look_again=looks,
            usual=usual,
        )

    def _whom(self, text: Catalogue, tenant: str | None) -> Mapping[str, str]:
        """Those whom a learner may have to tell. The platform's support is reached by whoever manages the courses
        where learners have no way to it.
        """
        if tenant:
            it, training = text("whom.it", tenant=tenant), text("whom.training", tenant=tenant)
        else:
            it, training = text("whom.own_it"), text("whom.own_training")
        return {"it": it, "training": training, "support": text("whom.support") if self._support else training}

    def _page(
        self,
        template: str,
        text: Catalogue,
        *,
        form: bool = False,
        framed: bool | None = None,
        script: Script | None = None,
        reference: str | None = None,
        **values: object,
    ) -> Page:
        source = _SCRIPTS[script] if script else ""
        try:
            html = self._press.html(template, source, reference, text=text, **values)
        except Exception as error:
            if self._instead is None:
                raise
            _report(template, error)
            return self._instead._page(
                template, text, form=form, framed=framed, script=script, reference=reference, **values
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


def _report(template: str, error: Exception) -> None:
    """Where a template failed, and nothing of the values that it was given."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".html")]
    place = {"file": frames[-1].filename, "line": frames[-1].lineno} if frames else {}
    log.error("page_template_failed", template=template, error=type(error).__name__, **place)


def _source(inline: str) -> str:
    """What a policy calls a style or script that stands in the page (CSP 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


def _safe(link: str | None) -> str | None:
    """The link where a browser can only read it as a path on this origin or as an http(s) URL."""
    if not link or any(character <= " " or character in "\\\x7f" for character in link):
        return None
    if link.startswith("/"):
        return None if link.startswith("//") else link
    return link if urlsplit(link).scheme in ("http", "https") else None
