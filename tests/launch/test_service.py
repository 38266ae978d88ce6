"""The service as an operator runs it: reload, workers, restarts, and things around it that fail."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.postgresql import postgresql
from tests.support.processes import free_port, kombo_bridge, started
from tests.support.stage import PAGE, Asked, Stage
from tests.support.stage import stage as open_stage


async def until(check: Callable[[], object], seconds: float = 6) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.1)


def events(stage: Stage, name: str) -> list[dict[str, object]]:
    return [line for line in stage.logged() if line["event"] == name]


def rewrite(stage: Stage, slug: str, **changes: object) -> None:
    file = stage.deployment.folder / "tenants" / f"{slug}.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changes))


async def test_tenant_files_are_reloaded_and_drop_nobodys_session(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, stage.browser() as browser:
        await browser.launch("acme", seed.HUGO, "/my")
        assert (await browser.get("/courses/cybersecurity-101")).headers["bridge-error"] == "not_enrolled"
        rewrite(stage, "acme", gate="library")
        await until(lambda: events(stage, "settings_applied"))
        opened = await browser.get("/courses/cybersecurity-101")
        assert dict(opened.json()["headers"])["x-kombo-enrollment"] == "LIBRARY"

        (tmp_path / "tenants" / "acme.yaml").write_text("name: Acme\ngatte: library\n")
        await until(lambda: events(stage, "settings_rejected"))
        assert ("`gatte` is no setting: write `gate`?", 2) in [
            (event["problem"], event["line"]) for event in events(stage, "settings_rejected")
        ]
        assert (await browser.get("/courses/cybersecurity-101")).status_code == 200, "the last good version serves"

        (tmp_path / "tenants" / "acme.yaml").unlink()
        await until(lambda: len(events(stage, "settings_applied")) == 2)
        assert (await browser.get("/my?tenant=acme")).headers["bridge-error"] == "tenant_unknown"
        assert (await browser.get("/my")).status_code == 303, "a removed tenant ends its sessions"

        stage.deployment.write()
        await until(lambda: len(events(stage, "settings_applied")) == 3)
        assert (await browser.get("/my")).status_code == 303, "for good, though the tenant is back"


async def test_a_reload_under_load_drops_nothing(tmp_path: Path) -> None:
    workers = 2
    async with open_stage(tmp_path, "--workers", str(workers)) as stage, stage.browser() as browser:
        await browser.launch("acme", seed.JANE, "/my")
        cookies = dict(browser.client.cookies)
        applied, seen = 0, Counter[tuple[int, str | None]]()

        async def visit(client: httpx.AsyncClient) -> None:
            while applied < 3:
                answer = await client.get("/my")
                seen[answer.status_code, dict(answer.json()["headers"]).get("x-kombo-user")] += 1

        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    httpx.AsyncClient(base_url=stage.origin, headers=PAGE, cookies=cookies, timeout=20)
                )
                for _ in range(4)
            ]
            visits = [asyncio.create_task(visit(client)) for client in clients]
            for number in range(3):
                before = len(events(stage, "settings_applied"))
                rewrite(stage, "acme", name=f"Acme {number}")
                rewrite(stage, "globex", gate="library" if number % 2 else "assigned")
                await until(lambda before=before: len(events(stage, "settings_applied")) >= before + workers)
                applied += 1
            await asyncio.wait_for(asyncio.gather(*visits), 30)
        assert set(seen) == {(200, seed.JANE.id)}
        assert seen.total() > 100


async def test_a_tenant_that_was_never_valid_is_unavailable_while_the_others_serve(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, stage.browser() as browser:
        (tmp_path / "tenants" / "hooli.yaml").write_text("name: Hooli\n")
        await until(lambda: events(stage, "settings_rejected"))
        answer = await browser.get("/my?tenant=hooli")
        assert (answer.status_code, answer.headers["bridge-error"]) == (503, "tenant_unavailable")
        assert (await browser.launch("acme", seed.JANE, "/my")).status_code == 200


async def test_sessions_and_single_use_survive_a_restart_and_hold_across_workers(tmp_path: Path) -> None:
    async with open_stage(tmp_path, "--workers", "2") as stage, stage.browser() as browser:
        read = Counter((line["tenant"], line["model"]) for line in events(stage, "sync_finished"))
        assert set(read.values()) == {1}, "one worker syncs, not each"
        assert {tenant for tenant, _ in read} == set(stage.deployment.tenants)
        asked = await browser.ask("/my?tenant=acme")
        response = browser.response("acme", asked, seed.JANE)
        login = dict(browser.client.cookies)
        assert (await browser.post(asked, response)).status_code == 303
        session = dict(browser.client.cookies)
        for _ in range(20):
            async with httpx.AsyncClient(base_url=stage.origin, headers=PAGE, cookies=session) as client:
                assert dict((await client.get("/my")).json()["headers"])["x-kombo-user"] == seed.JANE.id
            async with httpx.AsyncClient(base_url=stage.origin, headers=PAGE, cookies=login) as client:
                form = {"SAMLResponse": response, "RelayState": asked.relay_state}
                assert (await client.post(asked.acs, data=form)).headers["bridge-error"] == "login_expired"
        assert stage.bridge.stop() == 0
        command = kombo_bridge("serve", "--config", stage.deployment.path)
        with started(command, tmp_path / "second.log") as second:
            second.wait_for_port(int(stage.origin.rpartition(":")[2]))
            async with httpx.AsyncClient(base_url=stage.origin, headers=PAGE, cookies=session) as client:
                assert dict((await client.get("/my")).json()["headers"])["x-kombo-user"] == seed.JANE.id
            async with httpx.AsyncClient(base_url=stage.origin, headers=PAGE, cookies=login) as client:
                form = {"SAMLResponse": response, "RelayState": asked.relay_state}
                assert (await client.post(asked.acs, data=form)).headers["bridge-error"] == "login_expired"
            assert second.stop() == 0


async def test_a_platform_that_is_away(tmp_path: Path) -> None:
    async with open_stage(tmp_path, upstream=f"http://127.0.0.1:{free_port()}") as stage, stage.browser() as browser:
        page = await browser.get("/static/x")
        assert (page.status_code, page.headers["bridge-error"]) == (502, "upstream_unavailable")
        assert "text/html" in page.headers["content-type"]
        program = await browser.get("/static/x", headers={"Accept": "*/*"})
        assert program.json()["code"] == "upstream_unavailable"
        assert (await browser.sign_in("acme", seed.JANE)).status_code == 303, "people can sign in all the same"


async def test_tenants_on_hosts_of_their_own(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        host = f"localhost:{stage.origin.rpartition(':')[2]}"
        rewrite(stage, "acme", hosts=["localhost"])
        await until(lambda: events(stage, "settings_applied"))
        async with stage.browser() as browser:
            sent = await browser.get("/courses/cybersecurity-101?tenant=acme")
            assert (sent.status_code, sent.headers["location"]) == (
                307,
                f"http://{host}/courses/cybersecurity-101?tenant=acme",
            )
            own = {"Host": host}
            asked = Asked.of(
                (await browser.get("/courses/cybersecurity-101?tenant=globex", headers=own)).headers["location"]
            )
            assert asked.acs == f"http://{host}/_bridge/saml/acme/acs", "the host names the tenant, not the link"
            assert asked.issuer == f"{stage.origin}/_bridge/saml/acme/metadata"
            form = {"SAMLResponse": browser.response("acme", asked, seed.JANE), "RelayState": asked.relay_state}
            elsewhere = await browser.client.post("/_bridge/saml/acme/acs", data=form)
            assert elsewhere.status_code == 421
            done = await browser.client.post("/_bridge/saml/acme/acs", data=form, headers=own)
            assert done.status_code == 303
            shown = await browser.get(done.headers["location"], headers=own)
            assert dict(shown.json()["headers"])["x-kombo-tenant"] == "acme"
            assert dict(shown.json()["headers"])["host"] == host


async def test_the_organisation_page_leads_to_the_tenant_of_an_address(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        rewrite(stage, "acme", email_domains=["acme.com"])
        await until(lambda: events(stage, "settings_applied"))
        async with stage.browser() as browser:
            asked = await browser.get("/courses/cybersecurity-101?x=1")
            assert asked.status_code == 303
            assert asked.headers["location"].startswith("/_bridge/organizations?next=")
            page = await browser.get(asked.headers["location"])
            assert page.status_code == 200
            assert "Acme" not in page.text, "the list of customers is nobody's business"
            fields = {"next": "/courses/cybersecurity-101?x=1"}
            for wrong in ("jane@elsewhere.com", "jane", "", "@acme.com.evil", "a" * 10_000 + "@x"):
                answer = await browser.client.post("/_bridge/organizations", data={**fields, "email": wrong})
                assert answer.status_code in (404, 413), wrong
            typed = {**fields, "email": "Jane.Doe@ACME.com"}
            for site, remembered in (("cross-site", False), ("same-site", False), ("same-origin", True)):
                headers = {"Sec-Fetch-Site": site}
                found = await browser.client.post("/_bridge/organizations", data=typed, headers=headers)
                assert ("kombo-bridge-tenant" in browser.client.cookies) == remembered, site
            assert browser.client.cookies["kombo-bridge-tenant"] == "acme", "nobody has to answer twice"
            login = await browser.get(found.headers["location"])
            request = Asked.of(login.headers["location"])
            done = await browser.post(request, browser.response("acme", request, seed.JANE))
            assert done.headers["location"] == "/courses/cybersecurity-101?x=1"
            await browser.get("/_bridge/logout")
            again = await browser.get("/my")
            assert "/acme/sso" in again.headers["location"], "the last tenant is remembered"


async def test_health_readiness_and_keys_are_inside_only(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, httpx.AsyncClient() as client:
        assert (await client.get(f"{stage.internal}/health")).json() == {"status": "ok"}
        assert (await client.get(f"{stage.internal}/ready")).json()["status"] == "ok"
        inside, outside = [
            await client.get(url) for url in (f"{stage.internal}/jwks.json", f"{stage.origin}/_bridge/jwks.json")
        ]
        assert inside.json() == outside.json()
        assert outside.headers["cache-control"] == "public, max-age=300"
        unchanged = await client.get(
            f"{stage.origin}/_bridge/jwks.json", headers={"If-None-Match": outside.headers["etag"]}
        )
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert (await client.get(f"{stage.origin}/health", headers={"Accept": "*/*"})).status_code == 401
        assert "private" not in inside.text
        assert '"d"' not in inside.text


def test_serve_says_in_one_line_why_it_does_not_start(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.write()
    (tmp_path / "bridge.yaml").write_text("public_url: http://127.0.0.1:1\nupstrem: x\n")
    with started(kombo_bridge("serve", "--config", deployment.path), tmp_path / "log") as bridge:
        assert bridge.process.wait(20) == 1
        assert "bridge.yaml:2: " in bridge.text()
        assert "upstream" in bridge.text()
        assert "Traceback" not in bridge.text()


@pytest.mark.parametrize("setting", ["listen", "internal_listen"])
def test_serve_on_a_taken_port_says_so(tmp_path: Path, setting: str) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        free = {name: f"127.0.0.1:{free_port()}" for name in ("listen", "internal_listen")}
        deployment = Deployment(tmp_path, service=free | {setting: address})
        with started(kombo_bridge("serve", "--config", deployment.write()), tmp_path / "log") as bridge:
            assert bridge.process.wait(20) == 1
            assert f"cannot listen on {address}" in bridge.text()
            assert "Traceback" not in bridge.text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_with_a_state_that_it_cannot_use_says_so(tmp_path: Path, workers: str) -> None:
    deployment = Deployment(tmp_path, service={f"{part}listen": "127.0.0.1:0" for part in ("", "internal_")})
    with started(kombo_bridge("serve", "--config", deployment.write()), tmp_path / "log") as bridge:
        bridge.wait_for_text("startup complete")
    for change, said in (
        ({"secrets": ["another secret of the tests, long enough to sign with"]}, "sealed under another secret"),
        ({"state": "sqlite:////proc/nowhere/bridge.db"}, "the state's folder /proc/nowhere cannot be made"),
    ):
        deployment.service |= change
        command = kombo_bridge("serve", "--config", deployment.write(), "--workers", workers)
        with started(command, tmp_path / "log") as bridge:
            assert bridge.process.wait(20) == 1
            assert said in bridge.text()
            assert "Traceback" not in bridge.text()


@pytest.mark.parametrize("arguments", [["--listen", "nonsense"], ["--workers", "0"], ["--nonsense"]])
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    deployment = Deployment(tmp_path)
    with started(kombo_bridge("serve", "--config", deployment.write(), *arguments), tmp_path / "log") as bridge:
        assert bridge.process.wait(20) == 2
        assert "Traceback" not in bridge.text()


def test_sync_once_says_what_it_read(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, kombo_url=f"http://127.0.0.1:{free_port()}/v1")
    deployment.service["kombo"] = {"api_url": deployment.kombo_url, "api_key": seed.API_KEY}
    port = int(deployment.kombo_url.split(":")[2].split("/")[0])
    with started(kombo_bridge("simulate", "kombo", "--port", str(port)), tmp_path / "kombo.log") as kombo:
        kombo.wait_for_port(port)
        with started(
            kombo_bridge("sync", "--config", deployment.write(), "--tenant", "acme"), tmp_path / "log"
        ) as sync:
            assert sync.process.wait(30) == 0, sync.text()
            assert "acme: 19 users" in sync.text()
            assert "globex" not in sync.text()
        with started(kombo_bridge("sync", "--config", deployment.path, "--tenant", "nobody"), tmp_path / "log") as sync:
            assert sync.process.wait(30) == 1
            assert "there is no tenant nobody" in sync.text()
        (tmp_path / "tenants" / "hooli.yaml").write_text("name: Hooli\n")
        with started(kombo_bridge("sync", "--config", deployment.path), tmp_path / "log") as sync:
            assert sync.process.wait(30) == 1, "a tenant that could not be read was not synced"
            assert "hooli.yaml:1: " in sync.text()
            assert "initech: " in sync.text()


async def test_a_launch_with_the_state_in_postgresql(tmp_path: Path) -> None:
    with postgresql() as url:
        async with open_stage(tmp_path, "--workers", "2", state=url) as stage, stage.browser() as browser:
            shown = await browser.launch("acme", seed.JANE, "/courses/cybersecurity-101")
            assert dict(shown.json()["headers"])["x-kombo-user"] == seed.JANE.id
            await browser.get("/_bridge/logout")
            assert (await browser.get("/my")).status_code == 303
            assert not (tmp_path / "bridge.db").exists()
            assert stage.bridge.stop() == 0
