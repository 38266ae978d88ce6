"""What a running bridge keeps of launches: each is one row, from the IdP's answer to the platform's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select

from bridge.launches import history
from bridge.launches.history import Record
from bridge.pages.references import vocabulary
from bridge.saml.steps import Step
from bridge.simulator import seed
from bridge.simulator.serving import running
from bridge.store import funnel, tables
from bridge.store.engine import Store
from bridge.store.launches import Filter, Launch
from bridge.store.refusals import Refused
from tests.support.deployment import Deployment
from tests.support.processes import free_port, kombo_bridge, started
from tests.support.stage import PAGE, Browser, Stage, identity, platform, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

COURSE = "/courses/cybersecurity-101"
LATER = "ergonomics"
STEPS = ["asked", "answered", "verified", "identified", "signed_in", "returned", "gate", "forwarded"]


@dataclass
class Witnessed:
    """A stage, and the state that its bridge writes."""

    stage: Stage
    store: Store

    async def records(self, **which: Any) -> list[Record]:
        return await self.store.read(lambda connection: history.recent(connection, Filter(**which), 1000))

    async def comes(self, what: Callable[[Record], bool], **which: Any) -> Record:
        """The latest record of which something is true, once it is."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if found := next(filter(what, await self.records(**which)), None):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError([(each.reference, each.outcome, each.steps) for each in await self.records(**which)])

    async def has(self, reference: str, outcome: str) -> Record:
        return await self.comes(lambda record: (record.reference, record.outcome) == (reference, outcome))

    async def counted(self, tenant: str) -> dict[str, int]:
        ever = await self.store.read(funnel.ever)
        return {what: many for (slug, what), many in ever.items() if slug == tenant}


@contextlib.asynccontextmanager
async def witnessed(folder: Path, *arguments: str, **service: Any) -> AsyncIterator[Witnessed]:
    async with stage(folder, *arguments, prepare=prepared, **service) as found:
        store = Store(f"sqlite:///{folder}/bridge.db")
        yield Witnessed(found, store)
        store.close()


def prepared(deployment: Deployment) -> None:
    deployment.tenants["acme"]["kombo"] |= {"sync_every": "1s"}
    deployment.tenants["globex"]["hosts"] = ["localhost:" + deployment.public_url.rpartition(":")[2]]
    deployment.tenants["initech"] |= {"email_domains": ["initech.com"]}
    deployment.tenants["initech"]["saml"] |= {"idp_initiated": True}
    deployment.service["launches"] = {"refusals": 30}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Witnessed]:
    async with witnessed(tmp_path_factory.mktemp("landing")) as found:
        yield found


def reference(answer: httpx.Response) -> str:
    """The one on a page, as the learner would read it."""
    said = re.findall(r"[a-z]+(?:-[a-z]+)+", answer.text)
    return next(words for words in said if words.count("-") == 2 and set(words.split("-")) <= set(vocabulary()))


async def test_a_launch_is_one_row_with_all_its_steps(here: Witnessed) -> None:
    async with here.stage.browser() as browser:
        assert (await browser.launch("acme", seed.JANE, COURSE)).status_code == 200
        await browser.get(COURSE + "/lesson")
    record = await here.comes(lambda record: record.outcome == "forwarded" and record.of.user_id == seed.JANE.id)
    launch = record.of
    assert isinstance(launch, Launch)
    assert [taken.step for taken in record.steps] == STEPS
    assert {taken.outcome for taken in record.steps} == {"passed"}
    timed = [taken.step for taken in record.steps if taken.ms is not None]
    assert timed == ["answered", "verified", "identified", "returned", "gate", "forwarded"]
    assert (launch.found, launch.path, launch.tier) == ("link", COURSE, "name_id")
    assert (launch.provider, launch.integration_id) == (here.stage.deployment.idp_entity_id("acme"), seed.ACME)
    assert (launch.course, launch.enrollment, launch.gate) == ("cybersecurity-101", "ENROLLED", "fresh")
    assert launch.http_status == 200
    assert whole(record) <= (record.took_ms or 0)
    checks = record.steps[2].facts["checks"]
    assert list(checks) == [str(each) for each in Step]
    assert {checks["audience"], checks["replay"]} == {"passed"}
    assert record.steps[3].facts["tried"][0]["result"] == "matched"
    assert len([each for each in await here.records(tenant="acme") if each.of.user_id == seed.JANE.id]) == 1


async def test_no_time_is_in_two_steps(here: Witnessed) -> None:
    await here.stage.control("faults", kind="slow", seconds=0.4, count=None)
    try:
        async with here.stage.browser() as browser:
            words = reference(await browser.launch("acme", seed.JANE, f"/courses/{LATER}"))
    finally:
        await here.stage.control("faults", "DELETE")
    record = await here.has(words, "not_enrolled")
    gate = record.steps[-1]
    assert (gate.step, (gate.ms or 0) >= 400) == ("gate", True), "Kombo was asked"
    assert whole(record) <= (record.took_ms or 0)


def whole(record: Record) -> int:
    """What all steps come to, in milliseconds, but for what each may have been rounded up by."""
    return sum(taken.ms - 1 for taken in record.steps if taken.ms)


async def test_who_matches_nobody_has_a_row_and_its_reference(here: Witnessed) -> None:
    async with here.stage.browser() as browser:
        answer = await browser.sign_in("acme", seed.JANE, "/my", name_id="E-nobody")
    assert answer.headers["bridge-error"] == "user_unmatched"
    record = await here.has(reference(answer), "user_unmatched")
    assert isinstance(record.of, Launch)
    assert [taken.outcome for taken in record.steps] == ["passed", "passed", "passed", "failed"]
    assert here.stage.refusal()["reference"] == record.reference


async def test_an_answer_that_is_not_good_is_in_the_ring_alone(here: Witnessed) -> None:
    async with here.stage.browser() as browser:
        answer = await browser.sign_in("acme", seed.JANE, "/my", audience="https://elsewhere.test")
    record = await here.has(reference(answer), "saml_rejected")
    assert isinstance(record.of, Refused)
    assert record.of.check == "audience"
    checks = record.steps[-1].facts["checks"]
    assert (checks["audience"], checks["conditions"], checks["replay"]) == ("failed", "passed", "not_reached")


async def test_who_is_let_in_after_waiting_has_one_row_that_tells_both(here: Witnessed) -> None:
    before = await here.counted("acme")
    async with here.stage.browser() as browser:
        answer = await browser.launch("acme", seed.HUGO, f"/courses/{LATER}")
        assert answer.headers["bridge-error"] == "not_enrolled"
        words = reference(answer)
        waits = await here.has(words, "not_enrolled")
        assert waits.of.user_id == seed.HUGO.id
        assert [taken.outcome for taken in waits.steps][-2:] == ["passed", "failed"]
        again = await browser.get(f"/courses/{LATER}")
        assert reference(again) == words, "whichever of its pages is read out, it is the same launch"
        other = await browser.get("/courses/anti-bribery")
        assert reference(other) != words
        assert isinstance((await here.has(reference(other), "not_enrolled")).of, Refused)
        assert reference(await browser.get("/courses/anti-bribery")) == reference(other)
        assert (await browser.get("/my")).status_code == 200
        assert (await here.has(words, "not_enrolled")).took_ms == waits.took_ms, "which was another page"
        await enroll(here.stage, seed.HUGO, LATER)
        async with asyncio.timeout(20):
            while (await browser.get(f"/courses/{LATER}")).status_code != 200:
                await asyncio.sleep(0.2)
    record = await here.has(words, "forwarded")
    assert record.first_refused == "not_enrolled"
    assert [taken.step for taken in record.steps] == [*STEPS[:-1], *STEPS[-3:]]
    assert [taken.outcome for taken in record.steps] == [*["passed"] * 6, "failed", *["passed"] * 3]
    assert (record.took_ms or 0) > (waits.took_ms or 0)
    after = await here.counted("acme")
    assert {what: after[what] - before.get(what, 0) for what in ("asked", "matched", "gate", "forwarded")} == {
        "asked": 1,
        "matched": 1,
        "gate": 1,
        "forwarded": 1,
    }
    assert after["not_enrolled"] - before.get("not_enrolled", 0) == 2, "once a course, however often it is looked at"


async def enroll(stage: Stage, person: seed.Person, course: str) -> None:
    revision = seed.revision_id(person.integration, course, 1)
    details = {"user_id": person.id, "course_revision_id": revision, "status": "ENROLLED"}
    await stage.control("progressions", integration=person.integration, remote_id=course, **details)


async def test_what_is_fetched_before_the_page_does_not_hide_it(here: Witnessed) -> None:
    async with here.stage.browser() as browser:
        link = (await browser.sign_in("acme", seed.LENA, COURSE)).headers["location"]
        for ahead in ({"Sec-Fetch-Dest": "image"}, {"Sec-Purpose": "prefetch"}, {"Accept": "application/json"}):
            await browser.get(link, headers=ahead)
        session = await here.comes(lambda record: record.of.user_id == seed.LENA.id)
        assert session.outcome == "signed_in"
        await browser.get(link)
    await here.comes(lambda record: (record.of.user_id, record.outcome) == (seed.LENA.id, "forwarded"))


@pytest.mark.parametrize("dialect", ["traefik", "envoy", "nginx"])
async def test_where_another_proxy_forwards_launches_end_as_well(here: Witnessed, dialect: str) -> None:
    host = here.stage.origin.removeprefix("http://")
    names = {
        "traefik": {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": COURSE, "X-Forwarded-Host": host},
        "envoy": {"Host": host},
        "nginx": {"X-Original-Method": "GET", "X-Original-URI": COURSE, "Host": host},
    }[dialect]
    async with here.stage.browser() as browser:
        signed_in = await browser.sign_in("acme", seed.SAM, COURSE)
        assert signed_in.status_code == 303
        words = await here.comes(lambda record: record.of.user_id == seed.SAM.id and record.outcome == "signed_in")
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
        path = f"/auth/{dialect}" + (COURSE if dialect == "envoy" else "")
        async with httpx.AsyncClient(base_url=here.stage.internal) as engine:
            answer = await engine.get(path, headers={**PAGE, **names, "Cookie": cookie})
            assert answer.headers.get("bridge-error", "") in ("", "not_enrolled"), answer.text
    if answer.status_code == 200:
        record = await here.has(words.reference, "forwarded")
        assert record.of.http_status is None
    else:
        assert dialect == "nginx" or await here.has(words.reference, "not_enrolled")


async def test_nginx_asks_and_then_the_listener_answers_which_is_one_refusal(here: Witnessed) -> None:
    host = here.stage.origin.removeprefix("http://")
    async with here.stage.browser() as browser:
        await browser.sign_in("acme", seed.AISHA, "/courses/ergonomics")
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
        told = {"X-Original-Method": "GET", "X-Original-URI": "/courses/ergonomics", "Host": host, "Cookie": cookie}
        async with httpx.AsyncClient(base_url=here.stage.internal) as engine:
            answer = await engine.get("/auth/nginx", headers={**PAGE, **told})
            assert answer.headers["bridge-error"] == "not_enrolled"
        page = await browser.get("/courses/ergonomics")
    record = await here.has(reference(page), "not_enrolled")
    assert isinstance(record.of, Launch)
    assert [taken.step for taken in record.steps] == STEPS[:-1]


async def test_how_the_tenant_was_found(here: Witnessed) -> None:
    found: dict[str, str] = {}
    async with here.stage.browser() as browser:
        await browser.launch("initech", seed.PETER, "/my")
        browser.client.cookies.delete(next(name for name in browser.client.cookies if "session" in name))
        asked = await browser.ask("/my")
        await browser.post(asked, browser.response("initech", asked, seed.PETER))
        found["browser"] = seed.PETER.id
    async with here.stage.browser() as browser:
        asked = await browser.ask("/_bridge/saml/acme/login")
        await browser.post(asked, browser.response("acme", asked, seed.CARLOS))
        found["address"] = seed.CARLOS.id
    async with here.stage.browser() as browser:
        page = await browser.client.post("/_bridge/organizations?next=/my", data={"email": "milton@initech.com"})
        asked = await browser.ask(page.headers["location"])
        await browser.post(asked, browser.response("initech", asked, seed.MILTON))
        found["organization"] = seed.MILTON.id
    async with here.stage.browser() as browser:
        asked = await browser.ask(here.stage.origin.replace("127.0.0.1", "localhost") + "/my")
        await browser.post(asked, browser.response("globex", asked, seed.RITA))
        found["host"] = seed.RITA.id
    for how, user in found.items():
        record = next(record for record in await here.records() if record.of.user_id == user)
        assert isinstance(record.of, Launch)
        assert record.of.found == how


async def test_an_idp_that_begins_by_itself(here: Witnessed) -> None:
    async with here.stage.browser() as browser:
        acs = f"{here.stage.origin}/_bridge/saml/initech/acs"
        entity_id = f"{here.stage.origin}/_bridge/saml/initech/metadata"
        said = identity("initech", seed.MILTON)
        asked = type("Asked", (), {"acs": acs, "issuer": entity_id, "id": None, "relay_state": "/my"})()
        answer = await browser.post(asked, browser.response("initech", asked, None, **said))
        while answer.status_code == 303:
            answer = await browser.get(answer.headers["location"])
        assert answer.status_code == 200
    record = await here.comes(lambda record: record.of.user_id == seed.MILTON.id and record.outcome == "forwarded")
    assert isinstance(record.of, Launch)
    assert record.of.found == "idp"
    assert [taken.step for taken in record.steps] == ["answered", *STEPS[2:6], "forwarded"]


async def test_strangers_fill_a_ring_and_no_more(here: Witnessed) -> None:
    async with here.stage.browser() as browser:
        acs = "/_bridge/saml/vandelay/acs"
        for number in range(120):
            await browser.client.post(acs, data={"SAMLResponse": f"rubbish {number}"} if number % 2 else {})
            await browser.get(f"/x%2f%2e%2e%2fstatic/{number}")
    await here.comes(lambda record: record.outcome == "path_ambiguous" and record.of.path.endswith("/119"))
    rings = [record.tenant for record in await here.records() if isinstance(record.of, Refused)]
    assert all(rings.count(tenant) <= 30 for tenant in set(rings))
    assert "" in rings


async def test_one_browser_that_launches_again_has_two_rows(here: Witnessed) -> None:
    async with here.stage.browser() as browser:
        for _ in range(2):
            asked = await browser.ask("/_bridge/saml/acme/login?next=/my")
            answer = await browser.post(asked, browser.response("acme", asked, seed.NOOR))
            await browser.get(answer.headers["location"])
            answer = await browser.post(asked, browser.response("acme", asked, seed.NOOR))
            assert answer.status_code in (303, 403), "an answer that has been used is no launch"
    own = [record for record in await here.records() if record.of.user_id == seed.NOOR.id]
    await here.comes(lambda record: record.of.user_id == seed.NOOR.id and record.outcome == "forwarded")
    assert [isinstance(record.of, Launch) for record in own].count(True) == 2


@pytest.mark.long
async def test_a_state_that_takes_nothing_while_somebody_signs_in(here: Witnessed) -> None:
    """Longer than a writer waits: the learner is told so, and the launch is known of once the state writes again."""
    path = here.store.engine.url.database
    other = sqlite3.connect(str(path), isolation_level=None)
    async with here.stage.browser() as browser:
        asked = await browser.ask("/my?tenant=acme")
        response = browser.response("acme", asked, seed.PRIYA)
        other.execute("BEGIN IMMEDIATE")
        try:
            answer = await browser.post(asked, response)
        finally:
            other.execute("ROLLBACK")
            other.close()
    assert answer.headers["bridge-error"] == "user_unknown"
    record = await here.has(reference(answer), "user_unknown")
    assert record.steps[-1].step == "verified"


async def test_a_platform_that_is_down_and_comes_back(tmp_path: Path) -> None:
    port, received = free_port(), []
    async with witnessed(tmp_path, upstream=f"http://127.0.0.1:{port}") as found, found.stage.browser() as browser:
        answer = await browser.launch("acme", seed.JANE, COURSE)
        assert answer.headers["bridge-error"] == "upstream_unavailable"
        words = reference(answer)
        record = await found.has(words, "upstream_unavailable")
        assert [record.steps[-1].step, record.steps[-1].outcome] == ["forwarded", "failed"]
        assert record.of.http_status == 502
        again = await browser.get(COURSE)
        assert reference(again) == words
        assert await found.records() == [await found.has(words, "upstream_unavailable")]
        async with running(platform(received), port=port):
            assert (await browser.get(COURSE)).status_code == 200
            record = await found.has(words, "forwarded")
            assert record.first_refused == "upstream_unavailable"
        counted = await found.counted("acme")
        assert (counted["gate"], counted["forwarded"], counted["upstream_unavailable"]) == (1, 1, 1)


async def test_what_else_fails_meanwhile_says_nothing_of_the_page(tmp_path: Path) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /courses/"):
            asked.set()
            await answers.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    port = free_port()
    async with (
        await asyncio.start_server(upstream, "127.0.0.1", port),
        witnessed(tmp_path, upstream=f"http://127.0.0.1:{port}") as found,
        found.stage.browser() as browser,
    ):
        page = asyncio.ensure_future(browser.launch("acme", seed.JANE, COURSE))
        await asked.wait()
        polled = await browser.get("/my/news", headers={"Accept": "*/*", "Sec-Fetch-Dest": "empty"})
        assert polled.headers["bridge-error"] == "upstream_unavailable"
        answers.set()
        assert (await page).status_code == 204
        record = await found.comes(lambda record: record.outcome == "forwarded")
        assert (record.first_refused, [taken.step for taken in record.steps]) == (None, STEPS)
        apart = await found.has(polled.json()["reference"], "upstream_unavailable")
        assert (apart.reference != record.reference, apart.tenant, apart.of.user_id) == (True, "acme", seed.JANE.id)


async def test_a_bridge_that_is_killed_after_the_sign_in(tmp_path: Path) -> None:
    """The row is there from the same moment as the session; who comes back to another process is in it as well."""
    async with witnessed(tmp_path) as found, found.stage.browser() as browser:
        signed_in = await browser.sign_in("acme", seed.JANE, COURSE)
        os.killpg(found.stage.bridge.process.pid, signal.SIGKILL)
        found.stage.bridge.process.wait()
        [record] = await found.records()
        assert (record.outcome, record.of.user_id, record.took_ms) == ("signed_in", seed.JANE.id, None)
        command = kombo_bridge("serve", "--config", found.stage.deployment.path)
        with started(command, tmp_path / "again.log") as again:
            again.wait_for_port(int(found.stage.origin.rpartition(":")[2]))
            assert (await browser.get(signed_in.headers["location"])).status_code == 200
            assert again.stop() == 0
        [record] = await found.records()
        assert (record.outcome, [taken.step for taken in record.steps]) == ("forwarded", STEPS)
        session = await found.store.read(lambda c: c.execute(select(tables.sessions)).one())
        assert (session.launch, session.awaits) == (None, None)


@pytest.mark.long
async def test_two_workers_tell_of_each_launch_once(tmp_path: Path) -> None:
    people = [seed.JANE, seed.CARLOS, seed.AISHA, seed.LENA, seed.HUGO, seed.SAM]
    async with witnessed(tmp_path, "--workers", "2") as found:

        async def launched(person: seed.Person) -> None:
            async with found.stage.browser() as browser:
                link = (await browser.sign_in("acme", person, COURSE)).headers["location"]
                await asyncio.gather(*(fresh(browser, link) for _ in range(6)))

        async def fresh(browser: Browser, link: str) -> None:
            """Over a connection of its own, so that either worker may get it."""
            async with found.stage.browser() as other:
                other.client.cookies = browser.client.cookies
                await other.get(link)

        await asyncio.gather(*map(launched, people))
        for person in people:
            await found.comes(lambda record, id=person.id: record.of.user_id == id and record.outcome != "signed_in")
        rows = [record for record in await found.records() if isinstance(record.of, Launch)]
        assert sorted(record.of.user_id or "" for record in rows) == sorted(person.id for person in people)
        let_in = [record for record in rows if record.outcome == "forwarded"]
        assert let_in
        counted = await found.counted("acme")
        assert (counted["forwarded"], counted["matched"], counted["asked"]) == (len(let_in), len(people), len(people))
        assert {taken.step for record in let_in for taken in record.steps} == set(STEPS)
        assert all(len(record.steps) == len(STEPS) for record in let_in)
