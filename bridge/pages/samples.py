"""Every page in every shape that it has, made of values that nobody has: to try templates with, and to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from bridge.errors import Code
from bridge.pages.pages import ORGANIZATIONS, Page, Pages, RefusalLinks

REFERENCE = "amber-falcon-river"
IDP = "https://idp.example.com/sso?a=b&c=d"
_LINK = "/courses/x?a=b&c=d"
_LINKS = RefusalLinks(retry=_LINK, organizations="/_bridge/organizations?next=%2F")
_TENANT = "Acme Corporation"


@dataclass(frozen=True, slots=True)
class Sample:
    """A page; `keeps` is what must stand in it whatever it looks like, by what it is called in its template."""

    name: str
    template: str
    page: Page
    keeps: dict[str, str] = field(default_factory=dict)


def samples(pages: Pages, language: str | None = None) -> Iterator[Sample]:
    """Made one by one, so that whoever asks learns which cannot be."""
    for code in Code:
        yield from _refusals(pages, code, language)
    page = pages.post_expired(reference=REFERENCE, language=language, tenant_name=_TENANT, links=_LINKS)
    yield Sample("post_expired", "refusal.html", page, {"reference": REFERENCE, "retry": _LINK})
    yield from _organizations(pages, language)
    yield from _switches(pages, language)
    yield from _logged_out(pages, language)
    yield from _post_forms(pages, language)
    login = "/_bridge/saml/acme/login?next=%2Fx"
    yield Sample(
        "keep fragment", "keep_fragment.html", pages.keep_fragment(language=language, login=login), {"login": login}
    )
    for name, keep in (("break out", False), ("break out fragment", True)):
        page = pages.break_out(language=language, link=_LINK, keep_fragment=keep)
        yield Sample(name, "break_out.html", page, {"link": _LINK})


def _refusals(pages: Pages, code: Code, language: str | None) -> Iterator[Sample]:
    keeps = {"reference": REFERENCE}
    page = pages.refusal(code, reference=REFERENCE, language=language)
    yield Sample(f"{code} bare", "refusal.html", page, keeps)
    page = pages.refusal(code, reference=REFERENCE, language=language, tenant_name=_TENANT, links=_LINKS)
    yield Sample(f"{code} full", "refusal.html", page, keeps | {"retry": _LINK})
    page = pages.refusal(
        code,
        reference=REFERENCE,
        language=language,
        links=_LINKS,
        look_again_after=30,
        usual=timedelta(hours=3),
    )
    yield Sample(f"{code} looking", "refusal.html", page, keeps | {"retry": _LINK})


def _organizations(pages: Pages, language: str | None) -> Iterator[Sample]:
    keeps = {"action": ORGANIZATIONS, "next": "/courses/x", '<input name="email">': 'name="email"'}
    page = pages.organizations(language=language, next="/courses/x")
    yield Sample("organizations", "organizations.html", page, keeps)
    page = pages.organizations(language=language, next="/courses/x", email="jane@acme.example", failed=True)
    yield Sample("organizations failed", "organizations.html", page, keeps | {"email": "jane@acme.example"})


def _switches(pages: Pages, language: str | None) -> Iterator[Sample]:
    for name, other in (("switch", "Globex"), ("switch person", "Acme")):
        page = pages.switch(
            language=language,
            current="Acme",
            other=other,
            action="/_bridge/saml/globex/login",
            stay="/stay",
            fields={"next": "/courses/x"},
        )
        keeps = {"action": "/_bridge/saml/globex/login", "stay": "/stay", "fields": "/courses/x"}
        yield Sample(name, "switch.html", page, keeps)


def _logged_out(pages: Pages, language: str | None) -> Iterator[Sample]:
    bare = pages.logged_out(language=language, organizations=None)
    yield Sample("logged out bare", "logged_out.html", bare)
    for name, elsewhere in (("logged out", None), ("logged out elsewhere", True), ("logged out only here", False)):
        page = pages.logged_out(language=language, sign_in="/again", elsewhere=elsewhere)
        yield Sample(name, "logged_out.html", page, {"sign_in": "/again"})


def _post_forms(pages: Pages, language: str | None) -> Iterator[Sample]:
    fields = {"SAMLRequest": "PHg+", "RelayState": "r3l4y"}
    keeps = {"action": IDP, "fields": "r3l4y"}
    page = pages.post_form(language=language, action=IDP, fields=fields)
    yield Sample("post login", "post_form.html", page, keeps)
    page = pages.post_form(language=language, action=IDP, fields=fields, framed=True)
    yield Sample("post login framed", "post_form.html", page, keeps)
    page = pages.post_form(language=language, action=IDP, fields=fields, purpose="logout")
    yield Sample("post logout", "post_form.html", page, keeps)
