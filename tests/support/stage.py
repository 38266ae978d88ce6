"""A whole launch on real sockets: a simulated Kombo, a platform that tells what it received, the bridge as a process.

The IdP's part is played by the test itself, with a real key: it reads the AuthnRequest and signs what it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.demo.responses import read_authn_request, signed_response
from bridge.simulator import seed
from bridge.simulator.app import create
from bridge.simulator.serving import running
from bridge.simulator.world import World
from tests.support.deployment import Deployment, idp_key
from tests.support.processes import Running, free_port, kombo_bridge, log_lines, started

LAST_READ = "progressions"
PATIENCE_SECONDS = 30
PAGE = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}


@dataclass(frozen=True)
class Asked:
    """An AuthnRequest as the IdP got it."""

    id: str
    issuer: str
    acs: str
    relay_state: str

    @classmethod
    def of(cls, location: str) -> Asked:
        query = parse_qs(urlsplit(location).query)
        return cls(*read_authn_request(query["SAMLRequest"][0]), query["RelayState"][0])


@dataclass
class Stage:
    deployment: Deployment
    world: World
    kombo: str
    bridge: Running
    internal: str
    received: list[dict[str, Any]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return self.deployment.public_url

    def browser(self, **headers: str) -> Browser:
        return Browser(
            self, httpx.AsyncClient(base_url=self.origin, headers={**PAGE, **headers}, timeout=PATIENCE_SECONDS)
        )

    def logged(self) -> list[dict[str, Any]]:
        """What the bridge logged so far, the latest last."""
        return log_lines(self.bridge.text())

    def refusal(self) -> dict[str, Any]:
        """The last refusal in the bridge's log."""
        return next(line for line in reversed(self.logged()) if line["event"] == "request_refused")

    async def control(self, path: str, method: str = "POST", **content: object) -> None:
        """Tell the simulated Kombo to change or to misbehave."""
        async with httpx.AsyncClient() as client:
            answer = await client.request(method, f"{self.kombo}/_control/{path}", json=content)
            assert answer.status_code < 300, answer.text


@dataclass
class Browser:
    """A browser without script: keeps cookies, follows nothing by itself."""

    stage: Stage
    client: httpx.AsyncClient

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def get(self, url: str, **more: Any) -> httpx.Response:
        return await self.client.get(url, **more)

    async def ask(self, link: str) -> Asked:
        """Open a link that leads to a login."""
        answer = await self.get(link)
        assert answer.status_code == 303, answer.text
        return Asked.of(answer.headers["location"])

    def response(self, tenant: str, asked: Asked, person: seed.Person | None = None, **more: Any) -> str:
        """What the tenant's IdP answers: the person by that tenant's tier."""
        said: dict[str, Any] = {
            "issuer": self.stage.deployment.idp_entity_id(tenant),
            "acs": asked.acs,
            "audience": asked.issuer,
            "in_response_to": asked.id,
            "now": datetime.now(UTC),
            **(identity(tenant, person) if person else {}),
            **more,
        }
        return signed_response(said.pop("key", None) or idp_key(), **said)

    async def post(self, asked: Asked, response: str, **more: Any) -> httpx.Response:
        form = {"SAMLResponse": response, "RelayState": asked.relay_state}
        cross_site = {"Origin": "http://localhost:7000", "Sec-Fetch-Site": "cross-site"}
        return await self.client.post(asked.acs, data=form, headers=cross_site, **more)

    async def sign_in(self, tenant: str, person: seed.Person, link: str = "/my", **more: Any) -> httpx.Response:
        """The whole way: link, login, answer; returns the answer of the ACS."""
        asked = await self.ask(f"{link}{'&' if '?' in link else '?'}tenant={tenant}")
        return await self.post(asked, self.response(tenant, asked, person, **more))

    async def launch(self, tenant: str, person: seed.Person, link: str) -> httpx.Response:
        """The whole way to the deep link's own answer."""
        answer = await self.sign_in(tenant, person, link)
        assert answer.status_code == 303, answer.text
        return await self.get(answer.headers["location"])


def identity(tenant: str, person: seed.Person) -> dict[str, Any]:
    """How each tenant's IdP names people (see `TIERS`)."""
    if tenant == "globex":
        return {"name_id": person.email, "attributes": {"lms_user_id": [person.remote_id]}}
    if tenant == "initech":
        return {"name_id": "opaque", "attributes": {"mail": [person.email]}}
    return {"name_id": person.remote_id, "attributes": {}}


def platform(received: list[dict[str, Any]]) -> Starlette:
    """Tells what it received, headers in order and doubled ones apart."""

    async def tell(request: Request) -> Response:
        told = {
            "method": request.method,
            "target": request.scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else ""),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw],
            "body": (await request.body()).decode("latin-1"),
        }
        received.append(told)
        return JSONResponse(told, headers={"X-Kombo-User": "the platform's own", "X-Platform": "yes"})

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    return Starlette(routes=[Route("/{rest:path}", tell, methods=methods)])


@contextlib.asynccontextmanager
async def stage(
    folder: Path,
    *arguments: str,
    prepare: Callable[[Deployment], None] | None = None,
    around: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    **service: Any,
) -> AsyncIterator[Stage]:
    """Everything up and the first sync done; `prepare` may change the deployment before it is written.

    The bridge is started by the command `around`, if there is one, and with `env` in its environment.
    """
    world, received = seed.seeded(), []
    async with running(create(world)) as kombo, running(platform(received)) as upstream:
        port, internal = free_port(), free_port()
        settings = {"listen": f"127.0.0.1:{port}", "internal_listen": f"127.0.0.1:{internal}", **service}
        public_url = settings.pop("public_url", f"http://127.0.0.1:{port}")
        deployment = Deployment(folder, f"{kombo}/v1", settings.pop("upstream", upstream), public_url, service=settings)
        if prepare:
            prepare(deployment)
        command = kombo_bridge("serve", "--config", deployment.write(), *arguments)
        with started([*around, *command], folder / "bridge.log", env=env) as bridge:
            bridge.wait_for_port(port)
            bridge.wait_for_port(internal)
            for sharing in _by_integration(deployment):
                await _synced(bridge, sharing)
            yield Stage(deployment, world, kombo, bridge, f"http://127.0.0.1:{internal}", received)


def _by_integration(deployment: Deployment) -> Iterable[set[str]]:
    """Tenants by the integration that they share: it is synced under the name of one of them."""
    sharing: dict[str, set[str]] = {}
    for slug, tenant in deployment.tenants.items():
        sharing.setdefault(tenant["kombo"]["integration_id"], set()).add(slug)
    return sharing.values()


async def _synced(bridge: Running, slugs: set[str]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        read = (
            line for line in log_lines(bridge.text()) if line["event"] == "sync_finished" and line["tenant"] in slugs
        )
        if any(line["model"] == LAST_READ for line in read):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{slugs} were never synced:\n{bridge.text()}")
