"""Cookies as they are in production, on https and in a real browser, with the demo's IdP on another site."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Response

from bridge.demo.cast import companies
from bridge.demo.idp import identity_provider, providers
from bridge.simulator import seed
from bridge.simulator.serving import running
from tests.real.chromium import Tab, chromium, profile, tab
from tests.real.tls import tls
from tests.support.deployment import Deployment
from tests.support.processes import free_port
from tests.support.stage import Stage
from tests.support.stage import stage as open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION, LOGIN = "__Host-kombo-bridge-session", "__Host-kombo-bridge-login-"


@dataclass(frozen=True)
class Scene:
    stage: Stage
    browser: Browser
    idp: str

    def sign_in(self, person: str, path: str) -> str:
        """Where the IdP signs somebody in beforehand and leads on to the bridge."""
        query = {"then": f"{self.stage.origin}{path}"}
        return str(httpx.URL(f"{self.idp}/acme/as/{person}", params=query))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder, public, idp_port = tmp_path_factory.mktemp("stage"), free_port(), free_port()
    origin, idp = f"https://127.0.0.1:{public}", f"http://localhost:{idp_port}"
    trusted = providers(idp, companies())

    def prepare(deployment: Deployment) -> None:
        deployment.tenants["acme"]["saml"]["metadata"] = "acme-demo.xml"
        (folder / "tenants").mkdir()
        (folder / "tenants" / "acme-demo.xml").write_bytes(trusted["acme"].metadata)

    async with (
        chromium() as browser,
        running(identity_provider(trusted, bridge=origin), host="localhost", port=idp_port),
        open_stage(folder, prepare=prepare, public_url=origin) as stage,
        tls(folder, public, int(stage.deployment.service["listen"].rpartition(":")[2])),
    ):
        yield Scene(stage, browser, idp)


async def learner(shown: Response) -> str:
    """Who the platform was told it is; nothing of our cookies went along."""
    assert shown.status == 200
    told = await shown.json()
    assert "kombo-bridge" not in str(told["headers"])
    return str(dict(told["headers"])["x-kombo-user"])


async def cookies(tab: Tab) -> dict[str, tuple[bool, bool, str]]:
    """Secure, HttpOnly and SameSite of each."""
    return {
        cookie["name"]: (cookie["secure"], cookie["httpOnly"], cookie["sameSite"])
        for cookie in await tab.page.context.cookies()
        if "kombo-bridge" in cookie["name"]
    }


async def test_a_launch_with_the_cookies_of_production(scene: Scene) -> None:
    async with profile(scene.browser, ignore_https_errors=True, java_script_enabled=False) as context:
        tab_ = await tab(context)
        page = tab_.page
        link = f"{scene.stage.origin}/courses/cybersecurity-101?tenant=acme"
        await page.goto(scene.sign_in("jane", "/courses/cybersecurity-101?tenant=acme"))
        [login] = await cookies(tab_)
        assert login.startswith(LOGIN)
        assert (await cookies(tab_))[login] == (True, True, "None")
        shown = await tab_.until_at(scene.stage.origin, page.click("text=Continue"))
        assert (await learner(shown), page.url) == (seed.JANE.id, link)
        sent = await tab_.posts[0].all_headers()
        assert sent["sec-fetch-site"] == "cross-site"
        assert LOGIN in sent["cookie"]
        assert (await cookies(tab_))[SESSION] == (True, True, "Lax")
        assert all(secure and hidden for secure, hidden, _ in (await cookies(tab_)).values())

        await page.go_back()
        again = await tab_.until_at(scene.stage.origin, page.click("text=Continue"))
        assert (await learner(again), page.url) == (seed.JANE.id, link), "the answer leads to the page once more"
        assert SESSION not in (await tab_.posts[1].all_headers())["cookie"], "withheld, as it is cross-site"


async def test_a_link_from_another_site_finds_the_session(scene: Scene) -> None:
    async with profile(scene.browser, ignore_https_errors=True) as context:
        tab_ = await tab(context)
        await tab_.until_at(scene.stage.origin, tab_.page.goto(scene.sign_in("jane", "/my?tenant=acme")))
        shown = await tab_.until_at(
            scene.stage.origin, tab_.page.goto(scene.sign_in("jane", "/courses/cybersecurity-101"))
        )
        assert await learner(shown) == seed.JANE.id
        assert len(tab_.posts) == 1, "one login for both"
        assert tab_.complaints == []
