"""What the admin page shows, and what it never does."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.admin.remedies import remedies
from bridge.errors import Code, Problem, SettingsError
from bridge.settings.load import SettingsFiles
from bridge.store import launches as rows
from bridge.store import refusals
from bridge.store.engine import Store, now_ms
from bridge.store.refusals import Refused
from tests.admin.conftest import Inside
from tests.admin.filled import PLOTS, configuration, fill, launch
from tests.pages.markup import Document
from tests.pages.test_contrast import SHAPE, TEXT, colours, luminance
from tests.support.certificates import certificate
from tests.support.deployment import Deployment

HERE = Path(__file__).parent
QUERIES = yaml.safe_load((HERE / "queries.yaml").read_text("utf-8"))
PATHS = (
    "/admin", "/admin?refresh=60", "/admin?level=broken", "/admin?q=acme", "/admin/tenants/acme",
    "/admin/tenants/vandelay", "/admin/tenants/wonka", "/admin/launches", "/admin/launches?tenant=soylent",
    "/admin/launches?outcome=not_enrolled&since=2020-01-01T00:00&until=2099-01-01T00:00", "/admin/outbox",
    "/admin/outbox?tenant=initech", "/admin/keys", "/admin/refusals",
)  # fmt: skip
HOSTILE = "<script>alert(1)</script>\"'\u202e\u2066\x1b[31m\x00\n{{ 7 * 7 }}&lt;"


def read(html: str) -> Document:
    """A page that is well-formed, loads nothing and has no script."""
    document = Document(html)
    assert document.problems == []
    assert document.script == ""
    return document


@pytest.mark.parametrize("path", PATHS)
async def test_pages_are_well_formed(inside: Inside, path: str) -> None:
    answer = await inside.get(path)
    assert answer.status_code == 200
    read(answer.text)


@pytest.mark.parametrize("path", PATHS)
async def test_of_a_state_with_nothing_in_it_too(empty: Inside, path: str) -> None:
    answer = await empty.get(path)
    assert answer.status_code == (404 if "wonka" in path else 200)
    if answer.status_code == 200:
        read(answer.text)


@pytest.mark.parametrize("case", QUERIES, ids=lambda case: case["path"][:60])
async def test_queries_that_nobody_meant(inside: Inside, case: Mapping[str, Any]) -> None:
    answer = await inside.get(case["path"])
    assert answer.status_code == case["status"]
    if answer.text:
        read(answer.text)
    assert "\u202e" not in answer.text
    assert len(answer.content) < 1_500_000


async def test_every_tenant_at_a_glance(inside: Inside) -> None:
    page = (await inside.get("/admin")).text
    text = read(page).text
    assert {plot.name for plot in PLOTS.values()} | {"wonka"} <= set(text)
    for said in (
        "config/tenants/wonka.yaml:14",
        "config/tenants/massive.yaml:9",
        "400 d",
        "3h stale",
        "3d too old",
        "ended",
        "3 gave up, 2 wait",
    ):
        assert said in text, said
    levels = re.findall(r'<tbody class="(\w+)">', page)
    assert levels == sorted(levels, key=["broken", "attention", "good"].index)
    assert levels.count("broken") == 2
    assert {"2 broken", "5 attention", "3 good", "10 tenants"} <= set(map(" ".join, pairwise(text)))


async def test_tenants_by_state_and_name(inside: Inside) -> None:
    page = (await inside.get("/admin?level=broken")).text
    assert re.findall(r'href="/admin/tenants/(\w+)">', page) == ["umbrella", "wonka"]
    page = (await inside.get("/admin?q=HOOLI")).text
    assert re.findall(r'href="/admin/tenants/(\w+)">', page) == ["hooli"]
    assert "No tenant fits." in (await inside.get("/admin?q=nobody")).text


async def test_without_the_state_the_files_are_still_judged(inside: Inside, tmp_path: Path) -> None:
    lost = Inside(Store(f"sqlite:///{tmp_path}/empty.db"), inside.configuration, inside.now)
    answer = await lost.get("/admin")
    assert answer.status_code == 200
    text = read(answer.text).text
    assert "The state cannot be read: nobody can sign in. The log says why." in text
    assert "config/tenants/wonka.yaml:14" in text
    for path in ("/admin/launches", "/admin/tenants/acme", "/admin/outbox", "/admin/keys"):
        answer = await lost.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    lost.store.close()


async def test_one_tenant(inside: Inside) -> None:
    page = (await inside.get("/admin/tenants/acme")).text
    text = read(page).text
    assert page.count('<tr><th scope="row">20') == 14
    for said in ("Acme Corporation", "acme", "not_enrolled", "users", "Kombo itself", "address changed", "sync delay"):
        assert said in text, said
    for link in ("/admin/refusals#not_enrolled", "/admin/launches?tenant=acme&amp;outcome=not_enrolled"):
        assert f'href="{link}"' in page


async def test_a_certificate_that_ended_today_has_ended(inside: Inside) -> None:
    configured, now = inside.configuration, datetime.fromtimestamp(inside.now / 1000, UTC)
    tenant = configured.tenants["vandelay"]
    provider = replace(tenant.provider, certificates=(certificate(now - timedelta(hours=1)),))
    changed = {**configured.tenants, "vandelay": tenant.model_copy(update={"provider": provider})}
    later = Inside(inside.store, replace(configured, tenants=changed), inside.now)
    for path, ended in (("/admin?q=vandelay", 1), ("/admin/tenants/vandelay", 1), ("/admin/keys", 2)):
        assert read((await later.get(path)).text).text.count("ended") == ended, path


async def test_the_outbox_of_all_says_who_has_most(inside: Inside) -> None:
    page = (await inside.get("/admin/outbox")).text
    assert re.findall(r'href="\?tenant=(\w+)"', page) == ["umbrella", "initech"]
    assert "the oldest of one tenant after the other" in page
    page = (await inside.get("/admin/outbox?tenant=umbrella")).text
    assert "The oldest 100 are shown;" in page


async def test_every_launch_leads_to_its_own_page(inside: Inside) -> None:
    page = (await inside.get("/admin/launches?tenant=soylent&outcome=saml_rejected")).text
    references = re.findall(r'href="/admin/launches/([a-z-]+)"', page)
    assert references
    found = await inside.get(f"/admin/launches/{references[0]}")
    text = read(found.text).text
    for said in (
        "saml_rejected",
        "Response verified",
        "Person found",
        "not reached",
        "audience",
        "16 of 21 checks passed",
    ):
        assert any(said in each for each in text), said
    for spelling in (references[0].upper(), references[0].replace("-", " "), references[0].replace("-", ", ")):
        answer = await inside.get(f"/admin/launches?reference={spelling}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/launches/{references[0]}")


async def test_launches_by_tenant_outcome_and_time(inside: Inside) -> None:
    page = (await inside.get("/admin/launches?tenant=acme&limit=200")).text
    assert set(re.findall(r'class="of">(\w+)<', page)) == {"acme"}
    page = (await inside.get("/admin/launches?outcome=user_unmatched")).text
    assert set(re.findall(r'class="level refused">.*?</svg>(\w+)<', page)) == {"user_unmatched"}
    assert "None." in (await inside.get("/admin/launches?until=2020-01-01T00:00")).text
    assert "None." not in (await inside.get("/admin/launches?since=2020-01-01T00:00")).text
    assert "None." in (await inside.get("/admin/launches?since=2099-01-01T00:00")).text


async def test_all_launches_page_by_page(inside: Inside) -> None:
    seen: list[str] = []
    path: str | None = "/admin/launches?tenant=acme&limit=7"
    while path:
        page = (await inside.get(path)).text
        seen += re.findall(r'<span class="reference">([a-z-]+)<', page)
        older = re.search(r'<a href="\?([^"]+)">Older', page)
        path = f"/admin/launches?{older[1].replace('&amp;', '&')}" if older else None
    assert len(seen) == len(set(seen)) == 60


async def test_what_the_idp_said_is_redacted_and_what_kombo_said_left_out(inside: Inside) -> None:
    found = 0
    pages = [await inside.get(path) for path in PATHS]
    for slug in PLOTS:
        page = (await inside.get(f"/admin/launches?tenant={slug}&limit=200")).text
        for reference in re.findall(r'href="/admin/launches/([a-z-]+)"', page)[:12]:
            pages.append(await inside.get(f"/admin/launches/{reference}"))
            found += "j…@acme.com" in pages[-1].text
    assert found
    for page in pages:
        assert "jane.doe" not in page.text.lower()
        assert "Jane Doe" not in page.text
        assert "PRIVATE KEY" not in page.text


async def test_markup_and_characters_that_hide_from_wherever_they_come(store: Store, tmp_path: Path) -> None:
    now = now_ms()
    configured = configuration(tmp_path, now)
    acme = configured.tenants["acme"].model_copy(update={"name": HOSTILE, "integration_id": f"workday:{HOSTILE}"})
    bad = SettingsError(Problem(f"config/tenants/{HOSTILE}.yaml", 3, HOSTILE))
    configured = replace(configured, tenants={**configured.tenants, "acme": acme}, broken={"wonka": bad})

    def work(connection: Any) -> None:
        fill(connection, configured, now, launches=1)
        made = launch("acme", HOSTILE, now, Code.USER_UNMATCHED, HOSTILE, HOSTILE, random.Random(1))
        made = replace(
            made, reference="amber-falcon-river", reason=HOSTILE, path=HOSTILE, provider=HOSTILE, tier=HOSTILE
        )
        rows.add(connection, made)
        said = Refused("amber-falcon-river", "acme", now, HOSTILE, 403, HOSTILE, HOSTILE[:9], HOSTILE, check=HOSTILE)
        refusals.note(connection, "acme", [said], 200)

    await store.write(work)
    hostile = Inside(store, configured, now)
    for path in (*PATHS, "/admin/launches/amber-falcon-river"):
        page = (await hostile.get(path)).text
        read(page)
        assert not set("\u202e\u2066\x1b\x00") & set(page), path
    assert (
        "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;\ufffd\ufffd\ufffd[31m\ufffd\ufffd{{ 7 * 7 }}&amp;lt;" in page
    )


async def test_hundreds_of_tenants_are_many_pages(empty: Inside) -> None:
    one = empty.configuration.tenants["acme"]
    tenants = {f"t{number:04}": one.model_copy(update={"slug": f"t{number:04}"}) for number in range(730)}
    many = Inside(empty.store, replace(empty.configuration, tenants=tenants), empty.now)
    seen: set[str] = set()
    for page in range(1, 16):
        answer = await many.get(f"/admin?page={page}")
        shown = re.findall(r'href="/admin/tenants/(\w+)">', answer.text)
        assert len(set(shown)) == (50 if page < 15 else 30)
        assert len(answer.content) < 250_000
        seen |= set(shown)
    assert seen == tenants.keys()
    assert len((await many.get("/admin/keys")).content) < 150_000
    assert len((await many.get("/admin/launches")).content) < 150_000


def test_every_refusal_has_its_remedy() -> None:
    assert set(remedies()) == set(map(str, Code))
    assert all(remedy.means and remedy.do for remedy in remedies().values())
    written = yaml.safe_load((Path(__file__).parents[2] / "bridge/admin/remedies.yaml").read_text("utf-8"))
    assert list(written) == list(map(str, Code))


def test_a_file_that_has_gone_bad_is_known_while_the_last_good_version_serves(tmp_path: Path) -> None:
    files = SettingsFiles(Deployment(tmp_path).write(), {})
    assert files.configuration.outdated == {}
    file = tmp_path / "tenants" / "acme.yaml"
    good = file.read_text()
    file.write_text(f"{good}nonsense: 1\n")
    assert files.apply(files.differences()) is None, "nobody need be told"
    [problem] = files.configuration.outdated["acme"].problems
    assert "nonsense" in problem.message
    assert "acme" in files.configuration.tenants
    file.write_text(good)
    files.apply(files.differences())
    assert files.configuration.outdated == {}


STYLE = Path(__file__).parents[2] / "bridge/admin/style.css"
PAIRS = [
    *((text, ground, TEXT) for text in ("ink", "soft", "accent") for ground in ("ground", "card", "hover")),
    *((level, ground, TEXT) for level in ("good", "attention", "broken") for ground in ("ground", "card", "hover")),
    ("on-accent", "accent", TEXT),
    ("field", "card", SHAPE),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(scheme: str) -> None:
    known = colours(STYLE, scheme)
    poor = {}
    for front, ground, least in PAIRS:
        darker, lighter = sorted((luminance(known[front]), luminance(known[ground])))
        ratio = (lighter + 0.05) / (darker + 0.05)
        if ratio < least:
            poor[front, ground] = round(ratio, 2)
    assert poor == {}
