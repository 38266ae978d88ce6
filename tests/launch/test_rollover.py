"""Rollover by command, as running workers, platforms and IdPs see it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import jwt
import pytest
from lxml import etree

from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.processes import kombo_bridge
from tests.support.stage import Stage, stage

FOLLOWED_SECONDS = 10
WORKERS = 2
ASKED = 12
"""Fresh connections that must agree: the kernel spreads them over the workers."""


async def keys(stage: Stage, *arguments: str) -> str:
    command = kombo_bridge("keys", *arguments, "--config", str(stage.deployment.path))
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def agreed(url: str, wanted: int, counted: Callable[[httpx.Response], int]) -> httpx.Response:
    """What every worker answers, as soon as all show so many."""
    async with asyncio.timeout(FOLLOWED_SECONDS):
        while True:
            answers = [await asked(url) for _ in range(ASKED)]
            if all(counted(answer) == wanted for answer in answers):
                return answers[0]
            await asyncio.sleep(0.2)


async def asked(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
    assert answer.status_code == 200
    return answer


def published(answer: httpx.Response) -> int:
    return len(answer.json()["keys"])


def certificates(answer: httpx.Response) -> int:
    return len(set(etree.fromstring(answer.content).xpath("//*[local-name()='X509Certificate']/text()")))


def own_keys(deployment: Deployment) -> None:
    deployment.tenants["acme"]["saml"]["own_keys"] = True


@pytest.mark.long
async def test_workers_follow_what_commands_did(tmp_path: Path) -> None:
    async with stage(tmp_path, "--workers", str(WORKERS), prepare=own_keys) as found:
        first = {(key["for"], key["tenant"]): key["id"] for key in json.loads(await keys(found, "list", "--json"))}
        assert set(first) == {("headers", None), ("saml", None), ("saml", "acme")}
        await keys(found, "rotate", "headers")
        await keys(found, "rotate", "saml")
        for url in (f"{found.origin}/_bridge/jwks.json", f"{found.internal}/jwks.json"):
            await agreed(url, 2, published)

        async with found.browser() as browser:  # the new one is published, and does not sign yet
            answer = await browser.launch("globex", seed.RITA, "/my")
            received = {name.lower(): value for name, value in answer.json()["headers"]}
            assert jwt.get_unverified_header(received["x-kombo-assertion"])["kid"] == first["headers", None]

        metadata = f"{found.origin}/_bridge/saml/globex/metadata"
        await agreed(metadata, 2, certificates)
        await agreed(f"{found.origin}/_bridge/saml/acme/metadata", 1, certificates)
        await keys(found, "retire", first["saml", None][:12])
        await agreed(metadata, 1, certificates)

        metrics = (await asked(f"{found.internal}/metrics")).text
        assert f'kombo_bridge_saml_certificate_days_left{{key="{first["saml", "acme"]}",tenant="acme"}}' in metrics
        assert first["saml", None] not in metrics
        assert "kombo_bridge_tenants 4.0" in metrics
