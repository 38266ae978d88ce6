"""An IdP's metadata by URL, from the IdP's own endpoint, through the years: keys come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.simulator import seed
from tests.real.customers import BOTH, Scene, open_scene, platform, sign_in
from tests.real.simplesamlphp import SimpleSamlPhp
from tests.real.visitor import Visitor
from tests.support.deployment import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    def prepare(deployment: Deployment, idp: SimpleSamlPhp) -> None:
        for tenant in deployment.tenants.values():
            tenant["saml"]["metadata"] = idp.metadata_url

    async with open_scene(tmp_path_factory, prepare, metadata_networks=["127.0.0.0/8", "::1/128"]) as found:
        for tenant in ("acme", "globex"):
            await found.register(tenant, BOTH)
        yield found


async def test_a_launch(scene: Scene) -> None:
    async with Visitor() as visitor:
        assert platform(await scene.launch(visitor, "acme", "jane"))["x-kombo-user"] == seed.JANE.id


async def test_the_first_login_with_a_new_key_works(scene: Scene) -> None:
    """The bridge does not know the key, asks the IdP's endpoint once, and judges the same answer again."""
    scene.idp.renew_key()
    async with Visitor() as visitor:
        assert platform(await scene.launch(visitor, "acme", "jane"))["x-kombo-user"] == seed.JANE.id
    async with Visitor() as visitor:
        told = platform(await scene.launch(visitor, "globex", "rita"))
        assert told["x-kombo-user"] == seed.RITA.id, "each tenant for itself"


async def test_an_unknown_key_is_looked_up_at_most_every_five_minutes(scene: Scene) -> None:
    scene.idp.renew_key()
    async with Visitor() as visitor:
        prompt = await visitor.open(scene.link("acme", "/my"))
        refused = await visitor.send(await sign_in(visitor, prompt, "jane"))
        assert (refused.refused, scene.stage.refusal()["check"]) == ("saml_rejected", "signature")
