"""A deployment as in life: each Kombo and each node of the bridge a process of its own, and a platform.

Nodes share one configuration and one state; each has addresses of its own, and the first one's is the public URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from sqlalchemy import Connection, Table, select

from bridge.simulator import seed
from bridge.simulator.records import kombo_id
from bridge.simulator.serving import running
from bridge.store import tables
from bridge.store.engine import Store
from bridge.store.migrate import migrate
from tests.support.deployment import Deployment
from tests.support.processes import Running, free_port, kombo_bridge, log_lines, started
from tests.support.stage import PAGE, Asked, Browser, platform

TOKEN = "a-token-of-the-tests-long-enough-to-be-one"
PATIENCE_SECONDS = 60
MODELS = ("users", "courses", "progressions")
HIRED = itertools.count(1)


async def until(what: Callable[[], Awaitable[object]], why: str = "", *, seconds: float = PATIENCE_SECONDS) -> None:
    """Until it is true, however long that takes within reason."""
    try:
        async with asyncio.timeout(seconds):
            while not await what():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"it never came to that: {why or what}") from None


@dataclass
class Kombo:
    """A simulated one."""

    running: Running
    base_url: str
    api_key: str
    client: httpx.AsyncClient

    async def control(self, path: str, method: str = "POST", /, **content: object) -> Any:
        """Tell it to change or to misbehave."""
        answer = await self.client.request(method, f"{self.base_url.removesuffix('/v1')}/_control/{path}", json=content)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def rows(self, model: str, integration: str = seed.ACME) -> list[dict[str, Any]]:
        """Everything of a model that a list shows."""
        found: list[dict[str, Any]] = []
        query = {"page_size": "250"}
        while True:
            headers = {"Authorization": f"Bearer {self.api_key}", "X-Integration-Id": integration}
            answer = await self.client.get(f"{self.base_url}/lms/{model}", params=query, headers=headers)
            data = answer.json()["data"]
            found += data["results"]
            if data["next"] is None:
                return found
            query["cursor"] = data["next"]

    async def hire(self, integration: str = seed.ACME) -> seed.Person:
        """Somebody new in the LMS."""
        number = next(HIRED)
        person = seed.Person(integration, f"hired-{number}", "New", f"Hire{number}", f"hire{number}@example.com")
        await self.control(
            "users",
            integration=integration,
            remote_id=person.remote_id,
            first_name=person.first_name,
            last_name=person.last_name,
            work_email=person.email,
            status="ACTIVE",
        )
        return person

    async def enroll(self, person: seed.Person, course: str) -> str:
        """Assign a course in the LMS; the progression's id."""
        revision = seed.revision_id(person.integration, course, 2 if course == "cybersecurity-101" else 1)
        remote_id = f"{person.remote_id}:{course}"
        details = {"user_id": person.id, "course_revision_id": revision, "status": "ENROLLED"}
        await self.control("progressions", integration=person.integration, remote_id=remote_id, **details)
        return kombo_id(remote_id, person.integration)

    async def patch(self, person: seed.Person, **changes: object) -> None:
        await self.control(f"users/{person.id}", "PATCH", integration=person.integration, **changes)

    async def completions(self) -> list[str]:
        """The progressions that were completed, as often as they were."""
        return [one["progression"] for one in await self.control("completions", "GET")]

    async def asked(self, path: str, integration: str | None = None) -> int:
        """How often something below `/v1` was asked for so far."""
        requests = await self.control("requests", "GET")
        return sum(each["path"].startswith(path) and integration in (None, each["integration"]) for each in requests)

    async def down(self, value: bool = True) -> None:
        """Answer everything with a 503 that is not Kombo's; what `/_control` says still counts."""
        await self.control("down", value=value)

    def hang(self) -> None:
        """Accept connections, and say nothing any more."""
        os.killpg(self.running.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.running.process.pid, signal.SIGCONT)


@dataclass
class Node:
    """One process of the bridge's, which may be ended and started again."""

    scene: Scene
    name: str
    port: int
    inside: int
    logs: list[Path] = field(default_factory=list)
    _running: Running | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def deployment(self) -> Deployment:
        return self.scene.deployment

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        """As the load balancer says it."""
        return urlsplit(self.deployment.public_url).netloc

    @property
    def internal(self) -> str:
        return f"http://127.0.0.1:{self.inside}"

    @property
    def pid(self) -> int:
        assert self._running
        return self._running.process.pid

    def start(self, *arguments: str) -> None:
        listen = ("--listen", f"127.0.0.1:{self.port}", "--internal-listen", f"127.0.0.1:{self.inside}")
        self.logs.append(self.scene.folder / f"{self.name}-{len(self.logs) + 1}.log")
        command = kombo_bridge("serve", "--config", self.deployment.path, *listen, *arguments)
        self._running = self._stack.enter_context(started(command, self.logs[-1]))

    def wait(self) -> None:
        """Until it serves."""
        assert self._running
        self._running.wait_for_port(self.port)
        self._running.wait_for_port(self.inside)

    def stop(self) -> None:
        assert self._running
        assert self._running.stop() == 0, self.text()

    def kill(self) -> None:
        """SIGKILL, to its workers as well."""
        assert self._running
        os.killpg(self._running.process.pid, signal.SIGKILL)
        self._running.process.wait()

    def close(self) -> None:
        self._stack.close()

    def text(self) -> str:
        """Everything that it has said, in all its lives."""
        return "".join(log.read_text(errors="replace") for log in self.logs)

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in log_lines(self.text()) if line["event"] == event]

    def browser(self) -> Visitor:
        headers = {**PAGE, "Host": self.host}
        return Visitor(self, httpx.AsyncClient(base_url=self.address, headers=headers, timeout=30, verify=False))

    async def complete(self, tenant: str, person: seed.Person, course: str) -> httpx.Response:
        """As the platform reports it."""
        async with httpx.AsyncClient(timeout=30, verify=False) as client:
            return await client.post(
                f"{self.internal}/completions",
                json={"tenant": tenant, "user": person.id, "course": course},
                headers={"Authorization": f"Bearer {TOKEN}"},
            )


class Visitor(Browser):
    """A browser whose load balancer leads to one node."""

    async def post(self, asked: Asked, response: str, **more: Any) -> httpx.Response:
        public = self.stage.deployment.public_url
        assert asked.acs.startswith(f"{public}/")
        form = {"SAMLResponse": response, "RelayState": asked.relay_state}
        return await self.client.post(asked.acs.removeprefix(public), data=form, **more)

    def led_to(self, node: Node) -> Visitor:
        """The same browser, with what it keeps by now, once the load balancer has chosen another node."""
        other = node.browser()
        other.client.cookies = httpx.Cookies(self.client.cookies)
        return other

    async def enters(self, tenant: str, person: seed.Person, course: str, **asserted: Any) -> str:
        """What comes of a whole launch: how the course is open (fresh, stale, library), or the refusal's code."""
        answer = await self.sign_in(tenant, person, f"/courses/{course}", **asserted)
        return outcome(await self.get(answer.headers["location"]) if answer.status_code == 303 else answer)

    async def opens(self, course: str) -> str:
        """The same with the session that there is."""
        return outcome(await self.get(f"/courses/{course}"))


def outcome(answer: httpx.Response) -> str:
    """How a course is open, by what the platform was told; else the refusal's code."""
    if answer.status_code != 200:
        return str(answer.headers.get("bridge-error", answer.status_code))
    return str(claims(answer)["gate"])


def claims(answer: httpx.Response) -> dict[str, Any]:
    """What the platform was told, signed."""
    told = dict(answer.json()["headers"])["x-kombo-assertion"]
    return jwt.decode(told, options={"verify_signature": False})


@dataclass
class Scene:
    """`kombos` are as many environments; the tenants of the deployment may be spread over them."""

    folder: Path
    kombos: list[Kombo]
    deployment: Deployment
    nodes: list[Node] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    store: Store = field(init=False)

    @property
    def kombo(self) -> Kombo:
        return self.kombos[0]

    @property
    def node(self) -> Node:
        return self.nodes[0]

    async def synced(self, *slugs: str) -> None:
        """Until these tenants, or all, have been read completely."""
        tenants = self.deployment.tenants
        wanted = {(tenants[slug]["kombo"]["integration_id"], each) for slug in slugs or tenants for each in MODELS}
        row = tables.syncs.c

        async def done() -> bool:
            assert '"exception"' not in self.node.text(), self.node.text()
            found = await self.store.read(
                lambda c: c.execute(select(row.integration_id, row.model).where(row.as_of.is_not(None))).all()
            )
            return wanted <= {tuple(each) for each in found}

        await until(done, "the first sync")

    async def directory(self, integration: str = seed.ACME) -> Directory:
        """What the bridge has of whatever is not deleted."""

        def work(connection: Connection) -> Directory:
            return {name: _living(connection, integration, name) for name in COUNTS}

        return await self.store.read(work)

    async def same(self, kombo: Kombo, integration: str = seed.ACME) -> bool:
        """Whether the directory is what Kombo's lists show."""
        shown: Directory = {}
        for name, (_, keys) in COUNTS.items():
            shown[name] = {row["id"]: tuple(row[key] for key in keys) for row in await kombo.rows(name, integration)}
        return await self.directory(integration) == shown

    async def command(self, *arguments: str) -> str:
        """What a command of the bridge's says, which has to succeed."""
        line = kombo_bridge(*arguments, "--config", self.deployment.path)
        process = await asyncio.create_subprocess_exec(*line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said, complained = (text.decode() for text in await process.communicate())
        assert process.returncode == 0, said + complained
        return said


Directory = dict[str, dict[str, tuple[str | None, ...]]]
"""By model and id, what counts of each row; see `COUNTS`."""

COUNTS: Mapping[str, tuple[Table, Mapping[str, str]]] = {
    "users": (
        tables.users,
        {
            "status": "status",
            "remote_id": "remote_id",
            "work_email": "email",
            "first_name": "first_name",
            "last_name": "last_name",
        },
    ),
    "courses": (tables.courses, {"origin_id": "origin_id"}),
    "course-progressions": (
        tables.progressions,
        {"status": "status", "user_id": "user_id", "course_revision_id": "revision_id"},
    ),
}
"""Kombo's name of each of our columns."""


def _living(connection: Connection, integration: str, name: str) -> dict[str, tuple[str | None, ...]]:
    table, columns = COUNTS[name]
    row = table.c
    wanted = (row[column] for column in columns.values())
    here = (row.integration_id == integration) & row.deleted_at.is_(None)
    return {id: tuple(rest) for id, *rest in connection.execute(select(row.id, *wanted).where(here))}


@contextlib.asynccontextmanager
async def simulated(log: Path, *arguments: str) -> AsyncIterator[Kombo]:
    """A Kombo with everybody of the seed in it."""
    with started(kombo_bridge("simulate", "kombo", "--json", *arguments), log) as running:
        await asyncio.to_thread(running.wait_for_text, "base_url")
        said = json.loads(next(line for line in running.text().splitlines() if "base_url" in line))
        async with httpx.AsyncClient(timeout=30, verify=False) as client:
            yield Kombo(running, said["base_url"], said["api_key"], client)


@contextlib.asynccontextmanager
async def scene(
    folder: Path,
    state: str,
    *,
    prepare: Callable[[Scene], None] | None = None,
    nodes: int = 1,
    kombos: int = 1,
    **service: Any,
) -> AsyncIterator[Scene]:
    """Everything but the bridge is up; `prepare` may change the deployment before it is written.

    At the end, no node may have logged an exception.
    """
    async with contextlib.AsyncExitStack() as stack:
        made = await asyncio.gather(
            *(stack.enter_async_context(simulated(folder / f"kombo-{number}.log")) for number in range(kombos))
        )
        received: list[dict[str, Any]] = []
        upstream = await stack.enter_async_context(running(platform(received)))
        ports = [free_port() for _ in range(nodes)]
        settings = {"state": state, "internal_token": TOKEN, **service}
        deployment = Deployment(folder, made[0].base_url, upstream, f"http://127.0.0.1:{ports[0]}", service=settings)
        found = Scene(folder, list(made), deployment, received=received)
        found.nodes = [Node(found, f"node-{number}", port, free_port()) for number, port in enumerate(ports, 1)]
        for node in found.nodes:
            stack.callback(node.close)
        if prepare:
            prepare(found)
        deployment.write()
        migrate(state)
        found.store = Store(state)
        stack.callback(found.store.close)
        yield found
        for node in found.nodes:
            assert "Traceback" not in node.text()
            assert '"exception"' not in node.text()
