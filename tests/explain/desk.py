"""What is explained in the tests: a deployment on disk, a synced copy filled by hand, and responses that are signed."""

from __future__ import annotations

import base64
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from lxml import etree

from bridge.demo.responses import IdpKey, signed_response
from bridge.explain import Explanation, explain_response
from bridge.explain.copy import Copy
from bridge.idps.documents import load_settings
from bridge.kombo.model import Course, Progression, Revision, User
from bridge.settings.model import Configuration, Tenant
from bridge.store import directory, integrations, syncs
from bridge.store.engine import Store, now_ms
from bridge.store.migrate import migrate
from bridge.store.rows import MODELS
from tests.support.deployment import Deployment, idp_key

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ISSUED = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


@cache
def key(name: str) -> IdpKey:
    """`idp` is everybody's; any other is nobody's."""
    return idp_key() if name == "idp" else IdpKey.generate(name)


@dataclass
class Desk:
    folder: Path
    store: Store
    deployment: Deployment
    _loaded: Configuration | None = None

    @property
    def configuration(self) -> Configuration:
        if self._loaded is None:
            self._loaded = self.deployment.load()
        return self._loaded

    def load(self, tenants: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the files, with top-level keys of tenants changed, `saml` merged."""
        for slug, changes in tenants.items():
            now = self.deployment.tenants[slug]
            saml = now["saml"] | dict(changes.get("saml", {}))
            self.deployment.tenants[slug] = now | dict(changes) | {"saml": saml}
        self._loaded = None

    def load_fetched(self, tenants: Mapping[str, Mapping[str, Any]]) -> None:
        """As `load`, with the metadata that the state has."""
        for slug, changes in tenants.items():
            now = self.deployment.tenants[slug]
            self.deployment.tenants[slug] = now | {"saml": now["saml"] | dict(changes["saml"])}
        self._loaded = load_settings(self.deployment.write(), {})
        assert not self.configuration.broken, self.configuration.broken

    def replace_metadata(self, slug: str, metadata: bytes) -> None:
        """Of a tenant whose IdP is known by another key."""
        path = self.deployment.write()
        (self.folder / "tenants" / f"{slug}-idp.xml").write_bytes(metadata)
        self._loaded = load_settings(path, {})
        assert not self.configuration.broken, self.configuration.broken

    def tenant(self, slug: str) -> Tenant:
        return self.configuration.tenants[slug]

    async def fill(self, integration: str, rows: Mapping[str, Any], *, synced: bool = True) -> None:
        """Users, courses and progressions as Kombo showed them just now."""
        users = [User(changed_at=LONG_AGO, **{"status": "ACTIVE", **row}) for row in rows.get("people", [])]
        revision = Revision("r1", "r1", LONG_AGO)
        courses = [Course(changed_at=LONG_AGO, **{"revisions": (revision,), **row}) for row in rows.get("courses", [])]
        progressions = [
            Progression(changed_at=LONG_AGO, **{"course_revision_id": "r1", **row})
            for row in rows.get("progressions", [])
        ]
        seen_at = now_ms()

        def work(connection: Any) -> None:
            directory.save_users(connection, integration, users, seen_at)
            directory.save_courses(connection, integration, courses, seen_at)
            directory.save_progressions(connection, integration, progressions, seen_at)
            for model in MODELS if synced else ():
                syncs.finish(connection, syncs.begin(connection, integration, model, "full", seen_at), held=False)
            if standing := rows.get("standing"):
                integrations.note(connection, integration, "acme", **standing)

        await self.store.write(work)

    def response(self, slug: str = "acme", **said: Any) -> str:
        """What the tenant's IdP would send, unless told otherwise; `edit` replaces text in the XML after signing."""
        tenant = self.tenant(slug)
        edits: Mapping[str, str] = said.pop("edit", {})
        written: dict[str, Any] = {
            "issuer": tenant.provider.entity_id,
            "acs": tenant.party.requested_acs,
            "audience": tenant.party.entity_id,
            "in_response_to": "_asked",
            "name_id": "x-1",
            "now": ISSUED,
            **said,
        }
        signer = key(written.pop("signer", "idp"))
        response = signed_response(signer, **written)
        return edited(response, edits)

    async def explain(self, response: str, slug: str = "acme", course: str | None = None) -> Explanation:
        return await explain_response(self.configuration, self.tenant(slug), response, Copy(self.store), course)

    def apply(self, slug: str, lines: str) -> None:
        """Write what was proposed into the tenant's file."""
        self.load({slug: yaml.safe_load(lines)})


def edited(response: str, edits: Mapping[str, str]) -> str:
    data = base64.b64decode(response).decode()
    for old, new in edits.items():
        assert old in data, old
        data = data.replace(old, new)
    etree.fromstring(data.encode())
    return base64.b64encode(data.encode()).decode()


@cache
def empty_state() -> bytes:
    """A migrated SQLite file with nothing in it: making one takes longer than a test."""
    with tempfile.TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/empty.db")
        return Path(folder, "empty.db").read_bytes()


@contextlib.contextmanager
def desk_in(folder: Path) -> Iterator[Desk]:
    (folder / "bridge.db").write_bytes(empty_state())
    with contextlib.closing(Store(f"sqlite:///{folder}/bridge.db")) as store:
        yield Desk(folder, store, Deployment(folder))
