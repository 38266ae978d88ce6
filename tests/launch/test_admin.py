"""The admin page of a running service, over a launch as it happens."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from bridge.simulator import seed
from tests.support.stage import PAGE, stage

TOKEN = "a-token-of-the-tests-long-enough-to-be-one"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def test_a_launch_and_a_refusal_as_an_admin_sees_them(tmp_path: Path) -> None:
    async with stage(tmp_path, "--workers", "2", internal_token=TOKEN) as found:
        async with found.browser() as jane:
            assert (await jane.launch("acme", seed.JANE, "/courses/cybersecurity-101")).status_code == 200
        async with found.browser() as hugo:
            refused = await hugo.launch("acme", seed.HUGO, "/courses/cybersecurity-101")
            assert refused.headers["bridge-error"] == "not_enrolled"
        async with httpx.AsyncClient(base_url=found.internal, headers=PAGE | BEARER) as admin:
            async with asyncio.timeout(20):
                while "not_enrolled" not in (page := (await admin.get("/admin/launches?tenant=acme")).text):
                    await asyncio.sleep(0.1)
            assert seed.JANE.id in page
            assert seed.HUGO.id in page
            for path in ("/admin", "/admin/tenants/acme", "/admin/outbox", "/admin/keys", "/admin/refusals"):
                page = (await admin.get(path)).text
                for person in (seed.JANE, seed.HUGO):
                    assert person.name not in page
                    assert str(person.email) not in page
            overview = (await admin.get("/admin")).text
            assert "<dt>Workers here</dt><dd>2</dd>" in overview
            evil = {"Host": "evil.example.com"}
            assert (await admin.get("/admin", headers=evil)).status_code == 421
            for path in ("/health", "/ready", "/metrics", "/jwks.json"):
                assert (await admin.get(path, headers=evil)).status_code == 200


async def test_without_a_token_there_is_none(tmp_path: Path) -> None:
    async with stage(tmp_path) as found, httpx.AsyncClient(base_url=found.internal, headers=PAGE | BEARER) as admin:
        for path in ("/admin", "/admin/", "/admin/sign-in", "/admin/launches"):
            assert (await admin.get(path)).status_code == 404
        async with found.browser() as browser:
            answer = await browser.get("/admin")
            assert answer.status_code == 303, "on the public listener it is the platform's, as anything else"
