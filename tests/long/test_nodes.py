"""Several nodes over one PostgreSQL: they share the work, and one goes on where another was killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from bridge.kombo.webhooks import signature
from bridge.simulator import seed
from bridge.store import tables
from tests.support.scene import Node, Scene, Visitor, scene, until
from tests.support.states import postgresql_state

SECRET = "the-secret-of-kombos-webhooks"
COURSE = "cybersecurity-101"
USERS = "/v1/lms/users"
numbers = itertools.count(1)


@pytest.fixture
def state(postgresql_server: str) -> Iterator[str]:
    with postgresql_state(postgresql_server) as url:
        yield url


def prepared(found: Scene) -> None:
    """Of two customers one is read all the time, and the other one when a webhook says so."""
    tenants = found.deployment.tenants
    found.deployment.tenants = {slug: tenants[slug] for slug in ("acme", "globex")}
    tenants["acme"]["kombo"] |= {"sync_every": "1s"}
    tenants["globex"]["kombo"] |= {"sync_every": "12h", "webhook_secret": SECRET}


async def started(found: Scene, *arguments: str) -> None:
    for node in found.nodes:
        node.start(*arguments)
    for node in found.nodes:
        await asyncio.to_thread(node.wait)
    await found.synced()


async def hint(node: Node) -> None:
    """What Kombo would say to whichever node the load balancer chooses."""
    said = {"integration_id": seed.GLOBEX, "changed_models": [{"name": "lms_users"}]}
    body = json.dumps({"id": f"event-{next(numbers)}", "type": "data-changed", "data": said}, indent=2).encode()
    headers = {"X-Kombo-Signature": signature(SECRET, body).decode(), "Host": node.host}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{node.address}/_bridge/webhooks/kombo", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def read_after_each_hint(found: Scene) -> None:
    """Once, by whichever of them is the first."""
    for node in found.nodes * 2:
        before = await found.kombo.asked(USERS, seed.GLOBEX)
        await hint(node)
        await until(lambda before=before: read_since(found, before), "what was wanted is read")
        await asyncio.sleep(2.5)
        assert await found.kombo.asked(USERS, seed.GLOBEX) == before + 1, "and not again by the other"


async def read_since(found: Scene, before: int) -> bool:
    return await found.kombo.asked(USERS, seed.GLOBEX) > before


async def complete_everywhere(found: Scene) -> None:
    """The same completions, reported to each node, and all at a time."""
    people = [person for person in seed.PEOPLE if person.integration == seed.GLOBEX and person.assigned]
    people = [person for person in people if person != seed.FRANK]
    reports = [(node, person) for person in people for node in found.nodes * 3]
    answers = await asyncio.gather(*(node.complete("globex", person, "lib-feedback") for node, person in reports))
    assert {answer.status_code for answer in answers} == {202}
    ids = {(person.id, answer.json()["id"]) for (_, person), answer in zip(reports, answers, strict=True)}
    assert len(ids) == len(people), "one report each"
    await until(lambda: completed(found, len(people)), "the completions are sent")
    await asyncio.sleep(3)
    assert set(Counter(await found.kombo.completions()).values()) == {1}
    assert len(await found.kombo.control("enrollments", "GET")) == len(people)


async def completed(found: Scene, wanted: int) -> bool:
    return len(await found.kombo.completions()) >= wanted


async def out_on(browsers: list[Visitor]) -> bool:
    return {(await browser.get("/my")).status_code for browser in browsers} == {303}


async def sees_who_leaves(
    found: Scene, person: seed.Person, course: str, nodes: list[Node], seconds: float = 60
) -> None:
    """Somebody is out on every node, wherever it was that they had signed in."""
    async with nodes[0].browser() as browser:
        assert await browser.enters("acme", person, course) in ("fresh", "stale")
        browsers = [browser.led_to(node) for node in nodes * 5]
        assert {await each.opens(course) for each in browsers} <= {"fresh", "stale"}
        await found.kombo.patch(person, status="INACTIVE")
        await until(lambda: out_on(browsers), "their session ends everywhere", seconds=seconds)
        for each in browsers:
            await each.client.aclose()


async def reading(found: Scene, integration: str) -> Node | None:
    """The node that holds the lease."""
    row = tables.leases.c
    query = select(row.holder).where(row.name == f"sync {integration}")
    holder = await found.store.read(lambda connection: connection.execute(query).scalar())
    match = re.search(r" pid (\d+) ", holder or "")
    if match is None:
        return None
    group = os.getpgid(int(match[1]))
    return next(node for node in found.nodes if node.pid == group)


async def test_two_nodes(tmp_path: Path, state: str) -> None:
    async with scene(tmp_path, state, prepare=prepared, nodes=2) as found:
        await started(found)
        await read_after_each_hint(found)
        await complete_everywhere(found)
        await sees_who_leaves(found, seed.CARLOS, "code-of-conduct", found.nodes)
        await goes_on_after_a_kill(found)


async def goes_on_after_a_kill(found: Scene) -> None:
    """In the midst of a reading; the lease has to run out first, which takes a minute."""
    before = await found.directory()
    await found.kombo.control("faults", kind="slow", seconds=20, count=None, path="/v1/lms/", method="GET")
    asked = await found.kombo.asked("/v1/lms/", seed.ACME)
    await until(lambda: asked_more(found, asked), "a reading is under way")
    killed = await reading(found, seed.ACME)
    assert killed is not None
    survivor = next(node for node in found.nodes if node is not killed)
    killed.kill()
    await found.kombo.control("faults", "DELETE")
    assert (await found.directory()).keys() == before.keys()
    await sees_who_leaves(found, seed.NOOR, COURSE, [survivor], seconds=150)
    killed.start()
    await asyncio.to_thread(killed.wait)
    await sees_who_leaves(found, seed.INGRID, COURSE, [killed, survivor])
    assert await found.same(found.kombo)


async def asked_more(found: Scene, before: int) -> bool:
    return await found.kombo.asked("/v1/lms/", seed.ACME) > before


async def test_two_workers(tmp_path: Path, state: str) -> None:
    async with scene(tmp_path, state, prepare=prepared) as found:
        await started(found, "--workers", "2")
        assert await found.kombo.asked(USERS, seed.GLOBEX) == 1, "one of them reads, not each"
        await read_after_each_hint(found)
        await complete_everywhere(found)
        await sees_who_leaves(found, seed.CARLOS, "code-of-conduct", found.nodes)
