from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
import yaml

from bridge.errors import Code
from bridge.pages import Page, Pages, RefusalLinks
from bridge.pages.texts import catalogues

from .markup import Document

CASES = Path(__file__).with_name("cases")
HOSTILE = yaml.safe_load((CASES / "hostile.yaml").read_text("utf-8"))
LINKS = yaml.safe_load((CASES / "links.yaml").read_text("utf-8"))
LANGUAGES = sorted(catalogues())
REFERENCE = "amber-falcon-river"

pages = Pages("Learning Hub")


def everything(language: str) -> dict[str, Page]:
    """Every page in every shape that it has."""
    links = RefusalLinks(retry="/courses/x?a=b&c=d", organizations="/_bridge/organizations?next=%2F")
    made = {
        f"{code} {name}": pages.refusal(code, reference=REFERENCE, language=language, **extra)
        for code in Code
        for name, extra in {
            "bare": {},
            "full": {"tenant_name": "Acme Corporation", "links": links, "look_again_after": 30},
        }.items()
    }
    return made | {
        "post_expired": pages.post_expired(reference=REFERENCE, language=language, tenant_name="Acme", links=links),
        "organizations": pages.organizations(language=language, next="/courses/x"),
        "organizations failed": pages.organizations(language=language, next="/", email="a@b.example", failed=True),
        "switch": pages.switch(
            language=language, current="Acme", other="Globex", action="/_bridge/x", stay="/", fields={"next": "/x"}
        ),
        "switch person": pages.switch(language=language, current="Acme", other="Acme", action="/_bridge/x", stay="/"),
        "logged out": pages.logged_out(language=language, sign_in="/"),
        "logged out bare": pages.logged_out(language=language),
    }


ALL = {f"{language} {name}": page for language in LANGUAGES for name, page in everything(language).items()}


@pytest.mark.parametrize("name", ALL)
def test_is_well_formed_and_needs_nothing_from_elsewhere(name: str) -> None:
    document = Document(ALL[name].html)
    assert document.problems == []
    assert document.all("html")[0]["lang"] == name.split()[0]
    assert "{" not in " ".join(document.text)


@pytest.mark.parametrize("name", ALL)
def test_every_control_has_a_name(name: str) -> None:
    document = Document(ALL[name].html)
    labelled = {label["for"] for label in document.all("label")}
    visible = [field for field in document.all("input") if field["type"] != "hidden"]
    assert {field["id"] for field in visible} == labelled
    assert all(svg.get("aria-hidden") == "true" for svg in document.all("svg"))


@pytest.mark.parametrize("name", ALL)
def test_headers_guard_the_page(name: str) -> None:
    page = ALL[name]
    headers = dict(page.headers)
    assert len(headers) == len(page.headers)
    policy = headers["Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", page.html, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Language"] == name.split()[0]
    assert ("frame-ancestors 'none'" in policy) is ("<form" in page.html)
    assert ("form-action 'none'" in policy) is ("<form" not in page.html)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", Code)
def test_a_refusal_says_what_happened_and_its_reference(code: Code, language: str) -> None:
    text = catalogues()[language]
    document = Document(pages.refusal(code, reference=REFERENCE, language=language, links=RefusalLinks("/x")).html)
    for part in ("title", "happened", "advice", "action"):
        assert text(f"refusals.{code}.{part}") in document.text
    assert REFERENCE in document.text
    assert str(code) not in document.text
    assert {"class": "button", "href": "/x"} in document.all("a")


def test_a_rejected_response_gives_nothing_away() -> None:
    words = " ".join(Document(pages.refusal(Code.SAML_REJECTED, reference=REFERENCE).html).text).lower()
    assert not re.search(r"signature|certificate|assertion|audience|issuer|saml|expired|replay|clock|xml", words)


def test_the_tenant_is_named_where_it_is_known() -> None:
    named = Document(pages.refusal(Code.USER_UNMATCHED, reference=REFERENCE, tenant_name="Acme & Söhne").html)
    assert "Acme & Söhne" in named.text
    assert any("training administrator at Acme & Söhne" in text for text in named.text)
    unnamed = Document(pages.refusal(Code.USER_UNMATCHED, reference=REFERENCE).html)
    assert any("tell your IT help desk or your training administrator" in text for text in unnamed.text)


@pytest.mark.parametrize(
    ("seconds", "interval", "sentence"),
    [
        (30, "30", "in 30 seconds"),
        (119, "119", "in 119 seconds"),
        (120, "120", "in 2 minutes"),
        (600, "600", "in 10 minutes"),
        (0, "5", "in 5 seconds"),
        (-1, "5", "in 5 seconds"),
        (10**9, "3600", "in 60 minutes"),
    ],
)
def test_looks_again_by_itself_and_says_so(seconds: int, interval: str, sentence: str) -> None:
    document = Document(pages.refusal(Code.NOT_ENROLLED, reference=REFERENCE, look_again_after=seconds).html)
    assert {"http-equiv": "refresh", "content": interval} in document.all("meta")
    assert any(sentence in text for text in document.text)
    assert any(paragraph.get("role") == "status" for paragraph in document.all("p"))
    assert {"class": "button", "href": ""} in document.all("a")


def test_stays_still_unless_told_to_look_again() -> None:
    document = Document(pages.refusal(Code.NOT_ENROLLED, reference=REFERENCE).html)
    assert not any("http-equiv" in meta for meta in document.all("meta"))
    assert document.all("a") == []


@pytest.mark.parametrize("link", LINKS["good"])
def test_a_good_link_stands(link: str) -> None:
    document = Document(pages.refusal(Code.SAML_REJECTED, reference=REFERENCE, links=RefusalLinks(link, link)).html)
    assert [a["href"] for a in document.all("a")] == [link, link]


@pytest.mark.parametrize("link", LINKS["bad"])
def test_a_bad_link_is_left_out(link: str) -> None:
    document = Document(pages.refusal(Code.SAML_REJECTED, reference=REFERENCE, links=RefusalLinks(link, link)).html)
    assert document.all("a") == []
    assert Document(pages.logged_out(sign_in=link).html).all("a") == []
    switch = pages.switch(current="Acme", other="Globex", action="/_bridge/x", stay=link)
    assert [a["href"] for a in Document(switch.html).all("a")] == ["/"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_others_choose_comes_out_as_text(text: str) -> None:
    plain = Document(pages.organizations(next="/x", email="x", failed=True).html)
    asked = Document(pages.organizations(next=text, email=text, failed=True).html)
    assert asked.problems == []
    assert [tag for tag, _ in asked.elements] == [tag for tag, _ in plain.elements]
    values = {field["name"]: field["value"] for field in asked.all("input")}
    assert values == {"next": text, "email": text}

    refused = Document(pages.refusal(Code.NOT_ENROLLED, reference=REFERENCE, tenant_name=text).html)
    assert refused.problems == []
    assert " ".join(text.split()) in refused.text

    switch = pages.switch(current=text, other=text + "2", action="/_bridge/x", stay="/", fields={text: text})
    asked = Document(switch.html)
    assert asked.problems == []
    assert {"type": "hidden", "name": text, "value": text} in asked.all("input")


def test_the_organization_form_answers_every_wrong_address_alike() -> None:
    one, other = (pages.organizations(email=email, failed=True).html for email in ("a@acme.example", "b@none.example"))
    assert one.replace("a@acme.example", "b@none.example") == other
