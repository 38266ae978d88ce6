"""A deployment on disk: `bridge.yaml`, tenant files, IdP metadata, read by the bridge's own loader."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bridge.demo.responses import IdpKey, idp_metadata
from bridge.settings.load import load
from bridge.settings.model import Configuration, Tenant
from bridge.simulator import seed

SECRET = "a secret of the tests, long enough to sign with"

TIERS: dict[str, tuple[str, list[Any]]] = {
    "acme": (seed.ACME, ["name_id"]),
    "globex": (seed.GLOBEX, [{"attribute": "lms_user_id"}]),
    "initech": (seed.INITECH, [{"email": "mail"}]),
    "vandelay": (
        seed.VANDELAY,
        [{"attribute": "personnel_number", "remote_extract": r"PERNR:(?P<id>\d+)\|DE01"}, {"email": "name_id"}],
    ),
}


@cache
def idp_key() -> IdpKey:
    """One key for every IdP of a test run: making one takes a while."""
    return IdpKey.generate()


@dataclass
class Deployment:
    """Written anew by `write`; change a dictionary in between to change a file."""

    folder: Path
    kombo_url: str = "http://127.0.0.1:9/v1"
    upstream: str = "http://127.0.0.1:9"
    public_url: str = "http://127.0.0.1:8080"
    idp_url: str = "http://localhost:7000"
    service: dict[str, Any] = field(default_factory=dict)
    tenants: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for slug, (integration, identity) in TIERS.items():
            self.tenants.setdefault(
                slug,
                {
                    "name": seed.ORGANIZATIONS[integration],
                    "kombo": {"integration_id": integration},
                    "saml": {"metadata": f"{slug}-idp.xml"},
                    "identity": identity,
                    "gate": "assigned",
                },
            )

    @property
    def path(self) -> Path:
        return self.folder / "bridge.yaml"

    def idp_entity_id(self, slug: str) -> str:
        return f"{self.idp_url}/{slug}"

    def write(self) -> Path:
        (self.folder / "tenants").mkdir(parents=True, exist_ok=True)
        service = {
            "public_url": self.public_url,
            "upstream": self.upstream,
            "state": "sqlite:///bridge.db",
            "secrets": [SECRET],
            "tenants": "tenants",
            "kombo": {"api_url": self.kombo_url, "api_key": seed.API_KEY},
            "routes": [
                {"path": "/static/**", "access": "public"},
                {"path": "/courses/{course}/**", "access": "course"},
                {"path": "/player", "course_parameter": "id", "access": "course"},
                {"path": "/", "access": "optional"},
                {"path": "/**", "access": "learner"},
            ],
        }
        self.path.write_text(yaml.safe_dump(service | self.service))
        for slug, tenant in self.tenants.items():
            (self.folder / "tenants" / f"{slug}.yaml").write_text(yaml.safe_dump(tenant))
            metadata = idp_metadata(self.idp_entity_id(slug), idp_key(), f"{self.idp_url}/{slug}/sso")
            (self.folder / "tenants" / f"{slug}-idp.xml").write_bytes(metadata)
        return self.path

    def load(self) -> Configuration:
        configuration = load(self.write(), {})
        assert not configuration.broken, configuration.broken
        return configuration

    def tenant(self, slug: str, **changes: Any) -> Tenant:
        """One tenant as loaded, with top-level keys of its file changed."""
        self.tenants[slug] |= changes
        return self.load().tenants[slug]
