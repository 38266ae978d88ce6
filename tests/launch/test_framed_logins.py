"""Logins within frames, on https, with cookies as browsers keep them for frames."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.stage import Asked, Stage
from tests.support.stage import stage as open_stage
from tests.support.window import Window

pytestmark = pytest.mark.asyncio(loop_scope="module")

LMS, OTHER = "https://lms.example", "https://other.example"


def framed(deployment: Deployment) -> None:
    """Acme signs in within frames, the others do not; Globex's IdP may begin."""
    deployment.tenants["acme"]["in_frames"] = "inside"
    for slug in ("acme", "globex"):
        deployment.tenants[slug]["saml"]["idp_initiated"] = True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    async with open_stage(folder, prepare=framed, public_url="https://learn.test") as found:
        yield found


def unasked(stage: Stage, tenant: str, link: str = "/my") -> Asked:
    sp = f"{stage.origin}/_bridge/saml/{tenant}"
    return Asked("", f"{sp}/metadata", f"{sp}/acs", link)


def breaks_out(page: str) -> bool:
    return 'target="_blank"' in page


async def test_a_frame_that_signs_in_has_a_session_of_its_own(stage: Stage) -> None:
    async with Window(stage) as window:
        start = await window.get("/my?tenant=acme", site="cross-site", frame=LMS)
        asked = Asked.of(start.headers["location"])
        done = await window.answer(asked, window.says("acme", asked, seed.JANE), frame=LMS)
        assert (done.status_code, done.headers["location"]) == (303, "/my?tenant=acme")
        written = [line for answer in (start, done) for line in answer.headers.get_list("set-cookie")]
        assert len(written) >= 3
        assert all(line.endswith("; HttpOnly; Secure; SameSite=None; Partitioned") for line in written), written
        assert await window.who(site="cross-site", frame=LMS) == seed.JANE.id
        assert await window.who() == ""
        assert await window.who(site="cross-site", frame=OTHER) == ""
        again = await window.answer(asked, window.says("acme", asked, seed.JANE), frame=LMS)
        assert again.headers["location"] == "/my?tenant=acme", "a reload leads to the page"


async def test_the_lms_as_the_idp_within_its_frame(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = unasked(stage, "acme")
        arrived = await window.answer(asked, window.says("acme", asked, seed.JANE, in_response_to=None), frame=LMS)
        settled = await window.get(arrived.headers["location"], site="cross-site", frame=LMS)
        assert settled.headers["location"] == "/my"
        assert await window.who(site="cross-site", frame=LMS) == seed.JANE.id


async def test_where_a_tenant_does_not_sign_in_framed_there_is_a_way_out(stage: Stage) -> None:
    """Whatever comes first: the link, an answer of the LMS as the IdP, or one that nobody asked for."""
    async with Window(stage) as window:
        assert breaks_out((await window.get("/my?tenant=globex", site="cross-site", frame=LMS)).text)
        for tenant in ("globex", "initech"):
            asked = unasked(stage, tenant, "/my?from=lms")
            person = seed.RITA if tenant == "globex" else seed.PETER
            posted = await window.answer(asked, window.says(tenant, asked, person, in_response_to=None), frame=LMS)
            page = await window.get(posted.headers["location"], site="cross-site", frame=LMS)
            assert breaks_out(page.text)
            assert f"/_bridge/saml/{tenant}/login?next=%2Fmy%3Ffrom%3Dlms" in page.text
            assert not page.headers.get_list("set-cookie")
        assert not window.cookies


async def test_a_frame_of_another_site_replaces_no_session(stage: Stage) -> None:
    async with Window(stage) as window:
        await window.sign_in("globex", seed.RITA)
        asked = await window.ask("/my?tenant=acme", site="cross-site", frame=LMS)
        sent_on = await window.answer(asked, window.says("acme", asked, seed.JANE))
        assert "resume=" in sent_on.headers["location"], "a window does not finish what a frame began"
        page = await window.get(sent_on.headers["location"], site="cross-site")
        assert "Switch organisation?" in page.text
        assert await window.who() == seed.RITA.id


async def test_a_frame_of_our_own_site_goes_round_for_nobody(stage: Stage) -> None:
    """There a browser sends both kinds of cookie, of which one may be stale."""
    async with Window(stage) as window:
        await window.sign_in("acme", seed.JANE)
        stale = window.cookies["kombo-bridge-session"]
        await window.get("/_bridge/logout")
        window.put("kombo-bridge-session", stale)
        await window.sign_in("acme", seed.CARLOS, frame="ours")
        assert await window.who(frame="ours") == seed.CARLOS.id
        assert await window.who() == seed.CARLOS.id
        kept = dict(window.jar)
        await window.get("/_bridge/logout")
        window.jar.update(kept)
        await window.sign_in("acme", seed.JANE)
        assert await window.who() == seed.JANE.id
        assert await window.who(frame="ours") == seed.JANE.id
