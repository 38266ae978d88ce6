"""A folder of settings that are good, and ways to break it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.settings.load import load
from bridge.settings.model import Configuration, Tenant

EXAMPLE_IDP = Path(__file__).parents[2] / "config" / "tenants" / "acme-idp.xml"

SERVICE = {
    "public_url": "public_url: https://learn.example.com",
    "upstream": "upstream: http://127.0.0.1:9000",
    "state": "state: sqlite:///var/bridge.db",
    "secrets": "secrets: [0123456789abcdef0123456789abcdef]",
    "tenants": "tenants: tenants",
    "kombo": "kombo: {api_key: key}",
}
TENANT = {
    "name": "name: Acme",
    "kombo": "kombo: {integration_id: 'workday:1'}",
    "saml": "saml: {metadata: idp.xml}",
    "identity": "identity: [name_id]",
    "gate": "gate: assigned",
}


def completed(text: str, required: dict[str, str]) -> str:
    """A fragment of a settings file, followed by the required keys that it neither has nor disclaims.

    `# without: a b` (or `# without: everything`) on its first line leaves keys out.
    """
    first = text.partition("\n")[0]
    without = first.partition("# without:")[2].split()
    given = {line.partition(":")[0] for line in text.splitlines()}
    lines = [line for key, line in required.items() if key not in given and key not in without]
    return text if without == ["everything"] else "\n".join([text.rstrip("\n"), *lines]) + "\n"


@dataclass
class Folder:
    path: Path
    environ: dict[str, str]

    @property
    def bridge(self) -> Path:
        return self.path / "bridge.yaml"

    def service(self, text: str = "") -> None:
        self.bridge.write_text(completed(text, SERVICE), encoding="utf-8")

    def tenant(self, slug: str = "acme", text: str = "") -> Path:
        path = self.path / "tenants" / f"{slug}.yaml"
        path.write_text(completed(text, TENANT), encoding="utf-8")
        return path

    def load(self) -> Configuration:
        return load(self.bridge, self.environ)

    def acme(self) -> Tenant:
        """The tenant acme; its problems are raised."""
        configuration = self.load()
        for error in configuration.broken.values():
            raise error
        return configuration.tenants["acme"]

    def problems(self) -> list[str]:
        """Every problem of the service or of a tenant, without the folder."""
        try:
            errors = list(self.load().broken.values())
        except SettingsError as error:
            errors = [error]
        return [str(problem).removeprefix(f"{self.path}/") for error in errors for problem in error.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "tenants").mkdir()
    shutil.copy(EXAMPLE_IDP, tmp_path / "tenants" / "idp.xml")
    (tmp_path / "tenants" / "not.xml").write_text("hello")
    post_only = EXAMPLE_IDP.read_text(encoding="utf-8").replace("bindings:HTTP-Redirect", "bindings:SOAP")
    (tmp_path / "tenants" / "post.xml").write_text(post_only, encoding="utf-8")
    made = Folder(tmp_path, {})
    made.service()
    made.tenant()
    return made
