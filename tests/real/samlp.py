"""npm's samlp as the identity provider of many customers at once: one server, one key and one issuer for each."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bridge.demo.responses import IdpKey, idp_metadata
from tests.support.needs import need
from tests.support.processes import free_port, started

HOME = Path(__file__).parent / "servers" / "samlp"


@dataclass
class Samlp:
    """A running server. It is on `localhost` and the bridge on `127.0.0.1`: two sites, as in life."""

    file: Path
    port: int
    keys: Mapping[str, IdpKey]
    customers: dict[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    def metadata(self, customer: str) -> bytes:
        return idp_metadata(f"urn:samlp:{customer}", self.keys[customer], f"{self.origin}/{customer}/sso")

    def serve(self, customer: str, *, entity_id: str, acs: str, users: Mapping[str, Any], **options: Any) -> None:
        """Answer a service provider; again to do it otherwise. `options` are samlp's own."""
        key = self.keys[customer]
        self.customers[customer] = {
            "issuer": f"urn:samlp:{customer}",
            "key": key.private_pem.decode(),
            "cert": key.certificate_pem,
            "audience": entity_id,
            "acs": acs,
            "users": users,
            "options": options,
        }
        self.file.write_text(json.dumps(self.customers))

    def unsolicited(self, customer: str, user: str, relay_state: str) -> httpx.URL:
        """The address that starts a login from the IdP's side."""
        query = {"user": user, "RelayState": relay_state}
        return httpx.URL(f"{self.origin}/{customer}/launch", params=query)


@contextlib.contextmanager
def samlp(folder: Path, customers: Sequence[str]) -> Iterator[Samlp]:
    """A server for these customers; nobody is answered before `serve`."""
    need(shutil.which("node"), "node")
    need((HOME / "node_modules").is_dir(), "npm's samlp (npm ci --prefix tests/real/servers/samlp)")
    with ThreadPoolExecutor() as pool:
        keys = dict(zip(customers, pool.map(IdpKey.generate, customers), strict=True))
    server = Samlp(folder / "customers.json", free_port(), keys)
    server.file.write_text("{}")
    command = ["node", HOME / "server.js", str(server.port), server.file]
    with started(command, folder / "samlp.log") as process:
        process.wait_for_port(server.port)
        yield server
