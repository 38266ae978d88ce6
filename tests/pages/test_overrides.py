"""Templates of a deployment's own: what they may do, what is found in them, and that no page fails for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from structlog.testing import capture_logs

from bridge.errors import Code
from bridge.pages import Look, Page, Pages
from bridge.pages.look import Override
from bridge.pages.overrides import faults
from bridge.pages.press import Press
from bridge.pages.samples import IDP, REFERENCE, samples

from .markup import Document
from .test_pages import source

CASES = yaml.safe_load(Path(__file__).with_name("cases").joinpath("overrides.yaml").read_text("utf-8"))
DOCUMENTED = Path(__file__).parents[2] / "docs" / "pages.md"


def overrides(**sources: str) -> tuple[Override, ...]:
    return tuple(Override(name, f"brand/{name}", source) for name, source in sources.items())


def some(pages: Pages) -> list[Page]:
    return [
        pages.refusal(Code.NOT_ENROLLED, reference=REFERENCE, look_again_after=20),
        pages.post_form(action=IDP, fields={"a": "b"}),
        pages.organizations(),
        pages.logged_out(),
    ]


@pytest.mark.parametrize("sources", CASES["good"])
def test_a_good_template_is_used(sources: dict[str, str]) -> None:
    templates = overrides(**sources)
    assert faults(templates) == ()
    pages, plain = Pages(Look(templates=templates), strict=True), Pages()
    changed = [one.name for one, other in zip(samples(pages), samples(plain), strict=True) if one.page != other.page]
    assert changed


@pytest.mark.parametrize(("sources", "fault"), CASES["bad"])
def test_what_is_wrong_with_a_template_is_found(sources: dict[str, str], fault: str) -> None:
    found = [f"{file}:{line}: {message}" for file, line, message in faults(overrides(**sources))]
    assert found
    assert found[0].startswith(f"brand/{fault}")


@pytest.mark.parametrize(("sources", "fault"), CASES["bad"])
def test_no_page_fails_for_a_template_and_no_script_gets_in(sources: dict[str, str], fault: str) -> None:
    pages = Pages(Look(accent="#aa0000", templates=overrides(**sources)))
    for page, plain in zip(some(pages), some(Pages()), strict=True):
        assert page.html
        policy, usual = (dict(one.headers)["Content-Security-Policy"] for one in (page, plain))
        scripts = [part for part in usual.split("; ") if part.startswith("script-src")]
        assert [part for part in policy.split("; ") if part.startswith("script-src")] == scripts
        assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("one", "last"),
    [
        ("{%% include '_%d.html' %%}{%% include '_%d.html' %%}", "x"),
        (
            "{%% extends '_%d.html' %%}{%% block main %%}{{ super() }}{{ super() }}{%% endblock %%}{# %d #}",
            "{% extends 'bridge/refusal.html' %}",
        ),
    ],
)
def test_templates_that_double_from_one_to_the_next_come_to_an_end(one: str, last: str) -> None:
    parts = {f"_{n}.html": one % (n + 1, n + 1) for n in range(40)}
    found = faults(overrides(**{"refusal.html": one % (0, 0), **parts, "_40.html": last}))
    assert "calls and includes more than 500 times" in found[0].message


def test_templates_that_together_take_too_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.pages.overrides.TRIAL_SECONDS", -1)
    [fault] = faults(overrides(**{"refusal.html": "{{ reference }}{{ retry }}{# of this test alone #}"}))
    assert "takes longer than" in fault.message


def test_a_template_that_fails_later_gives_way_to_the_bridges_own_and_the_log_says_where() -> None:
    fails = "{{ reference }}\n{% if tenant == 'Unlucky' %}{{ tenant.nothing.more }}{% endif %}{{ retry }}"
    look = Look(name="Northwind", accent="#aa0000", templates=overrides(**{"refusal.html": fails}))
    assert faults(look.templates) == ()
    pages = Pages(look)
    with capture_logs() as logs:
        html = pages.refusal(Code.USER_UNMATCHED, reference=REFERENCE, tenant_name="Unlucky").html
    document = Document(html)
    assert document.problems == []
    assert REFERENCE in document.text
    assert "Northwind" in document.text
    assert "#aa0000" in html
    [line] = logs
    assert (line["event"], line["file"], line["line"]) == ("page_template_failed", "brand/refusal.html", 2)
    assert "Unlucky" not in str(line)


def test_the_own_style_follows_the_bridges_and_is_in_the_policy() -> None:
    page = Pages(Look(templates=overrides(**{"style.css": ".card { border: 0 }"}))).logged_out()
    style = re.search(r"<style>(.*?)</style>", page.html, re.DOTALL)
    assert style
    assert style[1].endswith(".card { border: 0 }")
    assert f"style-src {source(style[1])}" in dict(page.headers)["Content-Security-Policy"]


def test_what_others_choose_stays_text_in_a_template_of_ones_own() -> None:
    look = Look(templates=overrides(**{"refusal.html": "<p>{{ tenant }}</p>{{ reference }}"}))
    html = Pages(look).refusal(Code.NOT_ENROLLED, reference=REFERENCE, tenant_name="<script>alert(1)</script>").html
    assert "<script" not in html


def test_each_kind_of_page_says_in_the_documentation_what_its_template_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: dict[str, set[str]] = {}
    html = Press.html

    def spy(self: Press, template: str, script: str, reference: str | None = None, **values: object) -> str:
        printed.setdefault(template, set()).update(values.keys() - {"text"})
        return html(self, template, script, reference, **values)

    monkeypatch.setattr(Press, "html", spy)
    assert len(list(samples(Pages()))) > 50
    rows = re.findall(r"^\| `(\w+\.html)` \|[^|]*\| (.*?) \|$", DOCUMENTED.read_text("utf-8"), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", variables)) for name, variables in rows}
    assert documented == printed
