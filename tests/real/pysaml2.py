"""pysaml2 as an identity provider: one file that runs in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bridge.demo.responses import IdpKey
from tests.support.needs import need
from tests.support.processes import free_port, started

HOME = Path(__file__).parent / "servers" / "pysaml2"
PYTHON = HOME / ".venv" / "bin" / "python"


@dataclass(frozen=True)
class PySaml2:
    """A running IdP. It is on `localhost` and the bridge on `127.0.0.1`: two sites, as in life."""

    folder: Path
    port: int
    users: Mapping[str, Any]

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    def metadata(self) -> bytes:
        """What it publishes of itself."""
        answer = httpx.get(f"{self.origin}/metadata", trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.content

    def trust(self, name: str, sp_metadata: bytes) -> None:
        """Register a service provider."""
        (self.folder / "trusted" / f"{name}.xml").write_bytes(sp_metadata)

    def answer_with(self, **options: Any) -> None:
        """How it answers from now on; `options` are those of pysaml2's `create_authn_response`."""
        (self.folder / "answer.json").write_text(json.dumps({"users": self.users, "options": options}))


@contextlib.contextmanager
def pysaml2(folder: Path, users: Mapping[str, Any]) -> Iterator[PySaml2]:
    """An IdP with these users: {name: {"name_id", "format", "attributes"}}."""
    need(shutil.which("xmlsec1"), "xmlsec1 (Debian's xmlsec1)")
    need(PYTHON.exists(), f"pysaml2 in {HOME.name}/.venv, from requirements/pysaml2.txt")
    key = IdpKey.generate("A customer's IdP")
    (folder / "trusted").mkdir()
    (folder / "idp.pem").write_bytes(key.private_pem)
    (folder / "idp.crt").write_text(key.certificate_pem)
    idp = PySaml2(folder, free_port(), users)
    with started([PYTHON, "-W", "ignore", HOME / "idp.py", str(idp.port), folder], folder / "pysaml2.log") as server:
        server.wait_for_port(idp.port)
        yield idp
