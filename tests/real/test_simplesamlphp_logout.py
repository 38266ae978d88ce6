"""Single logout with an identity provider that we did not write, begun by either side."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.simulator import seed
from tests.real.chromium import chromium, profile, tab
from tests.real.customers import BOTH, Scene, by_file, open_scene, platform
from tests.real.simplesamlphp import PASSWORD, SimpleSamlPhp
from tests.real.visitor import Visitor
from tests.support.deployment import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    def prepare(deployment: Deployment, idp: SimpleSamlPhp) -> None:
        by_file(deployment, idp)
        deployment.tenants["acme"]["saml"]["single_logout"] = True

    async with open_scene(tmp_path_factory, prepare) as found:
        for tenant in ("acme", "globex"):
            await found.register(tenant, BOTH)
        yield found


async def test_logging_out_here_logs_out_at_the_idp(scene: Scene) -> None:
    async with Visitor() as visitor:
        platform(await scene.launch(visitor, "acme", "jane"))
        ended = await visitor.open(f"{scene.stage.origin}/_bridge/logout")
        hops = [str(hop.url) for hop in ended.answer.history]
        assert any(hop.startswith(f"{scene.idp.origin}/saml2/idp/SingleLogoutService.php") for hop in hops), hops
        assert str(ended.url).startswith(f"{scene.stage.origin}/_bridge/saml/acme/slo"), "and back"
        assert ended.answer.status_code == 200
        assert ended.refused is None
        prompt = await visitor.open(scene.link("acme", "/my"))
        assert "username" in prompt.fields, "the IdP asks for the password again"


async def test_without_the_setting_the_idp_keeps_its_session(scene: Scene) -> None:
    async with Visitor() as visitor:
        platform(await scene.launch(visitor, "globex", "rita"))
        ended = await visitor.open(f"{scene.stage.origin}/_bridge/logout")
        assert ended.answer.history == []
        confirmed = await visitor.open(scene.link("globex", "/my"))
        assert "SAMLResponse" in confirmed.fields, "no prompt this time"


@pytest.mark.parametrize(("tenant", "user"), [("acme", "jane"), ("globex", "rita")])
async def test_logging_out_at_the_idp_logs_out_here(scene: Scene, tenant: str, user: str) -> None:
    """Whether or not the tenant wants it the other way round."""
    async with Visitor() as visitor:
        platform(await scene.launch(visitor, tenant, user))
        ended = await visitor.open(scene.idp.log_out())
        hops = [str(hop.url) for hop in ended.answer.history]
        assert any(hop.startswith(f"{scene.stage.origin}/_bridge/saml/{tenant}/slo") for hop in hops), hops
        assert str(ended.url).startswith(f"{scene.idp.origin}/"), "the IdP has its answer"
        assert "failed" not in ended.answer.text.lower()
        prompt = await visitor.open(scene.link(tenant, "/my"))
        assert "username" in prompt.fields, "neither side has a session"


async def test_the_idp_ends_the_sessions_of_that_person_alone(scene: Scene) -> None:
    async with Visitor() as rita, Visitor() as ana:
        platform(await scene.launch(rita, "globex", "rita"))
        platform(await scene.launch(ana, "globex", "ana"))
        await rita.open(scene.idp.log_out())
        told = platform(await ana.open(f"{scene.stage.origin}/my"))
        assert told["x-kombo-user"] == seed.COMMA.id


async def test_a_logout_that_the_idp_did_not_sign_ends_nothing(scene: Scene) -> None:
    async with Visitor() as visitor:
        platform(await scene.launch(visitor, "acme", "jane"))
        visitor.client.follow_redirects = False
        asked = await visitor.open(scene.idp.log_out())
        while "SAMLRequest=" not in (there := asked.answer.headers["location"]):
            asked = await visitor.open(asked.url.join(there))
        query = there.partition("?")[2].split("&")
        unsigned = "&".join(part for part in query if not part.startswith(("Signature=", "SigAlg=")))
        refused = await visitor.open(f"{there.partition('?')[0]}?{unsigned}")
        assert refused.answer.status_code in (400, 403)
        assert platform(await visitor.open(f"{scene.stage.origin}/my"))["x-kombo-user"] == seed.JANE.id


async def test_in_a_real_browser(scene: Scene) -> None:
    """The cookies of both sites go the way that browsers let them."""
    async with chromium() as browser, profile(browser) as context:
        tab_ = await tab(context)
        page = tab_.page
        await page.goto(scene.link("acme", "/my"))
        await page.fill("[name=username]", "jane")
        await page.fill("[name=password]", PASSWORD)
        await tab_.until_at(scene.stage.origin, page.keyboard.press("Enter"))
        ended = await tab_.until_at(scene.stage.origin, page.goto(f"{scene.stage.origin}/_bridge/logout"))
        assert (ended.status, ended.headers.get("bridge-error")) == (200, None)
        await page.goto(scene.link("acme", "/my"))
        assert await page.locator("[name=username]").count() == 1, "back at the IdP's prompt"
        assert not [c for c in await context.cookies() if c["name"] == "kombo-bridge-session"]
