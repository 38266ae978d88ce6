"""A tenant's look over the deployment's, and what becomes of each part of it on a page."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bridge.errors import Code
from bridge.pages import Look, Looks, Pages
from bridge.pages.look import Logo, Override
from bridge.pages.samples import REFERENCE, samples

from .markup import Document

LOGO = Logo("data:image/png;base64,iVBORw0KGgo=", plate=True)
SERVICE = Look(
    name="Learning Hub",
    logo=LOGO,
    accent="#0b3d91",
    accent_dark="#9fb8ff",
    support="https://help.example.com",
    templates=(Override("refusal.html", "a", "service"), Override("style.css", "b", "p {}")),
)


@dataclass
class Customer:
    look: Look


def test_a_tenants_look_is_over_the_services() -> None:
    own = Look(name="Acme Academy", templates=(Override("refusal.html", "c", "tenant"),))
    merged = own.over(SERVICE)
    assert (merged.name, merged.logo, merged.support) == ("Acme Academy", LOGO, SERVICE.support)
    assert {template.name: template.source for template in merged.templates} == {
        "refusal.html": "tenant",
        "style.css": "p {}",
    }
    assert Look().over(SERVICE) is SERVICE


def test_the_two_accents_are_one_choice() -> None:
    assert Look(accent="#aa0000").over(SERVICE).accent_dark is None
    assert Look(accent_dark="#ffaaaa").over(SERVICE).accent is None


def test_pages_follow_the_service_as_it_is_now() -> None:
    now = [Look(name="Before")]
    looks = Looks(lambda: now[0])
    customer = Customer(Look(support="mailto:help@acme.example"))
    assert "Before" in looks.of(customer).logged_out().html
    now[0] = Look(name="After")
    assert "After" in looks.of(customer).logged_out().html
    assert "After" in looks.of(None).logged_out().html
    assert looks.of(customer) is looks.of(Customer(Look(support="mailto:help@acme.example")))


@pytest.mark.parametrize("name", [sample.name for sample in samples(Pages())])
def test_every_page_has_name_logo_colours_and_support(name: str) -> None:
    look = Look(name="Acme Academy", logo=LOGO, accent="#aa0000", support="https://help.example.com")
    [page] = [sample.page for sample in samples(Pages(look)) if sample.name == name]
    document = Document(page.html)
    [image] = document.all("img")
    assert (image["src"], image["alt"], image["class"]) == (LOGO.uri, "Acme Academy", "logo plate")
    assert [problem for problem in document.problems if LOGO.uri not in problem] == []
    assert "https://help.example.com" in [link["href"] for link in document.all("a")]
    assert "--fill: #aa0000" in page.html
    assert "; img-src data:; " in dict(page.headers)["Content-Security-Policy"]


def test_a_letter_to_the_support_has_the_reference_as_its_subject() -> None:
    pages = Pages(Look(support="mailto:help@example.com"))
    links = [link["href"] for link in Document(pages.refusal(Code.SAML_REJECTED, reference=REFERENCE).html).all("a")]
    assert links == [f"mailto:help@example.com?subject={REFERENCE}"]
    assert [link["href"] for link in Document(pages.logged_out(organizations=None).html).all("a")] == [
        "mailto:help@example.com"
    ]


def test_learners_are_sent_to_the_support_only_where_there_is_a_way_to_it() -> None:
    def told(look: Look) -> str:
        page = Pages(look).refusal(Code.UPSTREAM_UNAVAILABLE, reference=REFERENCE, tenant_name="Acme")
        return next(text for text in Document(page.html).text if text.startswith("If it takes longer"))

    assert "tell our support team (the link" in told(Look(support="https://help.example.com"))
    assert "tell the training or HR team at Acme" in told(Look())


def test_without_a_picture_no_picture_is_loaded() -> None:
    assert "img-src" not in dict(Pages(Look(accent="#aa0000")).logged_out().headers)["Content-Security-Policy"]


def test_dark_mode_has_a_shade_of_its_own() -> None:
    light_only = Pages(Look(accent="#0b3d91")).logged_out().html
    both = Pages(Look(accent="#0b3d91", accent_dark="#88ddff")).logged_out().html
    assert light_only.count("--fill: #0b3d91") == 1, "a dark blue on a dark page is not seen"
    assert "--fill: #88ddff" in both
    assert "--fill" not in Pages(Look()).logged_out().html.replace("var(--fill", "")
