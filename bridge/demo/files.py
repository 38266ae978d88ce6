"""The files that an operator would write for the bridge of the demo."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bridge.demo.cast import TENANTS
from bridge.simulator import seed
from bridge.simulator.catalogue import CATALOGUE

AUDIENCE = "content-platform"


def write_service(
    path: Path, *, bridge: str, internal: str, platform: str, kombo: str, token: str, webhook_secret: str
) -> None:
    """`bridge.yaml`, for these origins and secrets."""
    service: dict[str, Any] = {
        "public_url": bridge,
        "listen": bridge.removeprefix("http://"),
        "internal_listen": internal.removeprefix("http://"),
        "internal_token": token,
        "upstream": platform,
        "state": "sqlite:///bridge.db",
        "secrets": [secrets.token_urlsafe(32)],
        "audience": AUDIENCE,
        "tenants": "tenants",
        "kombo": {"api_url": f"{kombo}/v1", "api_key": seed.API_KEY, "webhook_secret": webhook_secret},
        "routes": [
            {"path": "/static/**", "access": "public"},
            {"path": "/courses/{course}/**", "access": "course"},
            {"path": "/player", "course_parameter": "id", "access": "course"},
            {"path": "/", "access": "optional"},
            {"path": "/**", "access": "learner"},
        ],
        "completions": [{"method": "POST", "path": "/courses/{course}/finish"}],
    }
    _write(path, service)


def write_tenants(folder: Path, metadata: Mapping[str, bytes]) -> None:
    """A file for each tenant, and its IdP's metadata beside it, by slug."""
    folder.mkdir()
    for slug, settings in TENANTS.items():
        _write(folder / f"{slug}.yaml", {**settings, "saml": {"metadata": f"{slug}-idp.xml"}})
        (folder / f"{slug}-idp.xml").write_bytes(metadata[slug])


def write_catalogue(path: Path) -> None:
    """What `courses push` sends to a tenant's LMS."""
    courses = [
        {
            "origin_id": offer.origin_id,
            "title": offer.title,
            "description": offer.description,
            "duration": offer.minutes,
            "languages": [offer.language],
        }
        for offer in CATALOGUE
    ]
    _write(path, {"courses": courses})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
