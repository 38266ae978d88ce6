"""A customer whose IdP publishes its metadata at a URL: a first login, a new key, another IdP, a restart without it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bridge.demo.responses import IdpKey, idp_metadata
from bridge.simulator import seed
from tests.idps.site import Site, site
from tests.saml.parts import key
from tests.support.deployment import Deployment, idp_key
from tests.support.processes import kombo_bridge
from tests.support.stage import Asked, Browser, Stage
from tests.support.stage import stage as open_stage

IDP = "http://localhost:7000/acme"
OTHER = "http://localhost:7000/acme-moved"


def publish(published: Site, signer: IdpKey, entity_id: str = IDP) -> None:
    published.says(idp_metadata(entity_id, signer, f"{entity_id}/sso"))


@contextlib.asynccontextmanager
async def bridge(folder: Path, published: Site) -> AsyncIterator[Stage]:
    def by_url(deployment: Deployment) -> None:
        deployment.tenants["acme"]["saml"] = {"metadata": published.url()}
        for tenant in deployment.tenants.values():
            tenant["kombo"]["sync_every"] = "1s"  # so that it is due after a restart, for which the stage waits

    networks = ["127.0.0.0/8"]
    async with open_stage(folder, "--workers", "2", prepare=by_url, metadata_networks=networks) as stage:
        yield stage


async def command(stage: Stage, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *kombo_bridge("metadata", *arguments, "--config", stage.deployment.path), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return said.decode()


async def sign_in_everywhere(stage: Stage, *, works: bool = True, **said: object) -> None:
    """Until logins work, or no longer do, in each worker, however the kernel deals connections out; within seconds."""
    async with asyncio.timeout(30):
        in_a_row = 0
        while in_a_row < 12:
            in_a_row = in_a_row + 1 if await signs_in(stage, **said) is works else 0


async def signs_in(stage: Stage, **said: object) -> bool:
    async with stage.browser() as browser:
        begun = await browser.get("/my?tenant=acme")
        if begun.status_code != 303:
            return False
        asked = Asked.of(begun.headers["location"])
        answer = await browser.post(asked, browser.response("acme", asked, seed.JANE, **said))
        return answer.status_code == 303


async def lives(browser: Browser) -> bool:
    answer: httpx.Response = await browser.get("/my")
    return answer.status_code == 200


@pytest.mark.long
async def test_years_of_an_idp(tmp_path: Path) -> None:
    async with site() as published:
        publish(published, idp_key())
        async with bridge(tmp_path, published) as stage:
            await sign_in_everywhere(stage)

            publish(published, key("rolled over"))
            assert await signs_in(stage, key=key("rolled over")), "a new key is looked for when it first appears"
            await sign_in_everywhere(stage, key=key("rolled over"))
            await sign_in_everywhere(stage, works=False)  # the former has gone with the document that had it
            assert await command(stage, "refresh") == f"acme: up to date, IdP {IDP}\n"

            async with stage.browser() as browser:
                answer = await browser.sign_in("acme", seed.JANE, key=key("rolled over"))
                assert (await browser.get(answer.headers["location"])).status_code == 200
                publish(published, key("moved"), OTHER)
                assert "held" in await command(stage, "refresh", "--tenant", "acme")
                await asyncio.sleep(4)
                assert await lives(browser)
                async with stage.browser() as evil:
                    refused = await evil.sign_in("acme", seed.JANE, key=key("moved"), issuer=OTHER)
                assert refused.headers.get("bridge-error") == "saml_rejected"

                assert await command(stage, "accept", "acme") == f"acme: {OTHER} instead of {IDP}\n"
                async with asyncio.timeout(15):
                    while await lives(browser):
                        await asyncio.sleep(0.2)
                await sign_in_everywhere(stage, key=key("moved"), issuer=OTHER)

        published.answers.clear()
        fetched = len(published.heads)
        async with bridge(tmp_path, published) as stage:
            await sign_in_everywhere(stage, key=key("moved"), issuer=OTHER)
        assert len(published.heads) == fetched
