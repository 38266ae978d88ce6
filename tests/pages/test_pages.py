from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

import bridge.pages
from bridge.errors import Code
from bridge.front.targets import TARGET_BYTES
from bridge.pages import ORGANIZATIONS, Look, Pages, RefusalLinks
from bridge.pages.samples import IDP, REFERENCE, samples
from bridge.pages.texts import catalogues

from .markup import Document

CASES = Path(__file__).with_name("cases")
HOSTILE = yaml.safe_load((CASES / "hostile.yaml").read_text("utf-8"))
LINKS = yaml.safe_load((CASES / "links.yaml").read_text("utf-8"))
LANGUAGES = sorted(catalogues())
ROOM = Path(bridge.pages.__file__).parent

pages = Pages(Look(name="Learning Hub"))


FRAMED_FORMS = {"post login framed"}
SCRIPTS = {
    "post login": "post_form",
    "post login framed": "post_form",
    "post logout": "post_form",
    "keep fragment": "keep_fragment",
    "break out fragment": "break_out",
} | {f"{code} looking": "look_again" for code in Code}


SHAPES = [sample.name for sample in samples(pages)]
ALL = {language: {sample.name: sample.page for sample in samples(pages, language)} for language in LANGUAGES}


@pytest.mark.parametrize("name", SHAPES)
def test_is_well_formed_and_needs_nothing_from_elsewhere(name: str) -> None:
    for language in LANGUAGES:
        document = Document(ALL[language][name].html)
        assert document.problems == []
        assert document.all("html")[0]["lang"] == language
        assert "{" not in " ".join(document.text)


@pytest.mark.parametrize("name", SHAPES)
def test_every_control_has_a_name(name: str) -> None:
    document = Document(ALL["en"][name].html)
    labelled = {label["for"] for label in document.all("label")}
    visible = [field for field in document.all("input") if field["type"] != "hidden"]
    assert {field["id"] for field in visible} == labelled
    assert all(svg.get("aria-hidden") == "true" for svg in document.all("svg"))


@pytest.mark.parametrize("name", SHAPES)
def test_headers_guard_the_page(name: str) -> None:
    for language in LANGUAGES:
        page = ALL[language][name]
        headers = dict(page.headers)
        assert len(headers) == len(page.headers)
        policy = headers["Content-Security-Policy"]
        style = re.search(r"<style>(.*?)</style>", page.html, re.DOTALL)
        assert style
        assert policy.startswith(f"default-src 'none'; style-src {source(style[1])}; base-uri 'none'")
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Language"] == language
        assert headers["Referrer-Policy"] == ("strict-origin" if name.startswith("post log") else "same-origin")
        assert ("frame-ancestors 'none'" in policy) is ("<form" in page.html and name not in FRAMED_FORMS)
        assert ("X-Frame-Options" in headers) is ("frame-ancestors 'none'" in policy)
        assert ("form-action 'none'" in policy) is ("<form" not in page.html)
        assert ("connect-src 'self'" in policy) is name.endswith("looking")


@pytest.mark.parametrize("name", SHAPES)
def test_only_its_own_script_may_run_in_a_page(name: str) -> None:
    page, file = ALL["en"][name], SCRIPTS.get(name)
    policy, script = dict(page.headers)["Content-Security-Policy"], Document(page.html).script
    assert ("script" in policy) is (file is not None)
    assert script == (ROOM / "scripts" / f"{file}.js").read_text("utf-8") if file else script == ""
    if file:
        assert policy.count(source(script)) == 1
        assert "unsafe" not in policy


def source(inline: str) -> str:
    """What a policy calls an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


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
    assert any("the training or HR team at Acme & Söhne" in text for text in named.text)
    unnamed = Document(pages.refusal(Code.USER_UNMATCHED, reference=REFERENCE).html)
    assert any("tell your training or HR team" in text for text in unnamed.text)


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
    page = pages.refusal(Code.NOT_ENROLLED, reference=REFERENCE, look_again_after=seconds)
    document = Document(page.html)
    assert f'<noscript><meta http-equiv="refresh" content="{interval}"></noscript>' in page.html
    [status] = [paragraph for paragraph in document.all("p") if paragraph.get("role") == "status"]
    assert status["data-after"] == interval, "what the script waits, so that it is announced where the reader is"
    assert any(sentence in text for text in document.text)
    assert {"class": "button", "href": ""} in document.all("a")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_script_has_every_sentence_in_the_pages_language(language: str) -> None:
    page = pages.refusal(Code.NOT_ENROLLED, reference=REFERENCE, language=language, look_again_after=20)
    [status] = [paragraph for paragraph in Document(page.html).all("p") if paragraph.get("role") == "status"]
    script = (ROOM / "scripts" / "look_again.js").read_text("utf-8")
    used = {f"data-{name}" for name in re.findall(r"dataset\.(\w+)", script)}
    assert used == {name for name in status if name.startswith("data-")}
    for name in ("data-seconds", "data-minutes"):
        sentence = status[name] or ""
        assert sentence.count("#") == sentence.count("@") == 1


USUAL = [
    (None, "That takes a few minutes, sometimes a few hours."),
    (timedelta(0), "no more than 5 minutes"),
    (timedelta(minutes=5, seconds=1), "no more than 10 minutes"),
    (timedelta(minutes=44), "no more than 45 minutes"),
    (timedelta(minutes=46), "no more than an hour"),
    (timedelta(minutes=61), "no more than 2 hours"),
    (timedelta(hours=2.5), "no more than 3 hours"),
    (timedelta(hours=19), "no more than a day"),
    (timedelta(hours=25), "no more than 2 days"),
    (timedelta(days=30), "no more than 30 days"),
]


@pytest.mark.parametrize(("usual", "words"), USUAL)
def test_says_how_long_an_assignment_usually_takes(usual: timedelta | None, words: str) -> None:
    document = Document(pages.refusal(Code.NOT_ENROLLED, reference=REFERENCE, usual=usual).html)
    assert any(words in text for text in document.text)
    other = Document(pages.refusal(Code.USER_UNMATCHED, reference=REFERENCE, usual=usual).html)
    assert not any(words in text for text in other.text)


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
    assert Document(pages.logged_out(sign_in=link, organizations=link).html).all("a") == []
    switch = pages.switch(current="Acme", other="Globex", action="/_bridge/x", stay=link)
    assert [a["href"] for a in Document(switch.html).all("a")] == ["/", ORGANIZATIONS]
    assert [a["href"] for a in Document(pages.break_out(link=link).html).all("a")] == ["/"]
    kept = Document(pages.keep_fragment(login=link).html)
    assert [a["href"] for a in kept.all("a")] == ["/"]
    assert {"http-equiv": "refresh", "content": "0; url=/"} in kept.all("meta")
    with pytest.raises(ValueError, match="http"):
        pages.post_form(action=link, fields={})


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

    posted = Document(pages.post_form(action=IDP, fields={"SAMLRequest": text, "RelayState": text}).html)
    assert posted.problems == []
    assert [(field["name"], field["value"]) for field in posted.all("input")] == [
        ("SAMLRequest", text),
        ("RelayState", text),
    ]
    assert posted.all("form") == [{"method": "post", "action": IDP}]


def test_the_organization_form_answers_every_wrong_address_alike() -> None:
    one, other = (pages.organizations(email=email, failed=True).html for email in ("a@acme.example", "b@none.example"))
    assert one.replace("a@acme.example", "b@none.example") == other


@pytest.mark.parametrize("action", ["/_bridge/saml/acme/acs", "//idp.example", "idp.example/sso", ""])
def test_a_form_goes_to_an_absolute_url(action: str) -> None:
    with pytest.raises(ValueError, match="http"):
        pages.post_form(action=action, fields={})


def test_the_way_out_of_a_frame_is_a_link_that_needs_no_script() -> None:
    [link] = Document(pages.break_out(link="/courses/x?tenant=acme&a=b").html).all("a")
    assert link == {
        "class": "button",
        "href": "/courses/x?tenant=acme&a=b",
        "target": "_blank",
        "rel": "noopener",
    }


def test_without_script_a_login_goes_on_without_the_fragment() -> None:
    login = "/_bridge/saml/acme/login?next=%2Fcourses%2Fx%3Fa%3Db"
    page = pages.keep_fragment(login=login)
    assert f'<noscript><meta http-equiv="refresh" content="0; url={login}"></noscript>' in page.html
    assert Document(page.html).all("a") == [{"class": "button", "href": login}]


def test_the_script_that_keeps_a_fragment_knows_the_bound_of_next() -> None:
    assert f"<= {TARGET_BYTES})" in (ROOM / "scripts" / "keep_fragment.js").read_text("utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_has_signed_out_reads_what_goes_on_elsewhere(language: str) -> None:
    text = catalogues()[language]
    for elsewhere, key in ((None, "happened"), (True, "happened_elsewhere"), (False, "happened_here_only")):
        document = Document(pages.logged_out(language=language, elsewhere=elsewhere).html)
        assert text(f"logged_out.{key}") in document.text
        assert {"class": "other", "href": ORGANIZATIONS} in document.all("a")


def test_one_person_after_another_is_not_offered_another_organisation() -> None:
    assert len(Document(pages.switch(current="Acme", other="Globex", action="/x", stay="/").html).all("a")) == 2
    assert len(Document(pages.switch(current="Acme", other="Acme", action="/x", stay="/").html).all("a")) == 1
