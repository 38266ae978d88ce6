"""Hot reload on real files: what takes effect, what waits for a restart, and what a bad file does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.errors import SettingsError
from bridge.settings.load import SettingsFiles
from bridge.settings.model import Configuration
from bridge.settings.reload import Reloader

from .conftest import Folder


class Follower:
    """The settings of a folder, looked at by hand: no test waits for a clock."""

    def __init__(self, folder: Folder) -> None:
        self.files = SettingsFiles(folder.bridge, folder.environ)
        self.logs: list[dict[str, Any]] = []

    @property
    def tenants(self) -> list[str]:
        return list(self.files.configuration.tenants)

    def look(self) -> Configuration | None:
        with capture_logs() as logs:
            found = self.files.differences()
            configuration = self.files.apply(found) if found else None
        self.logs = [dict(entry) for entry in logs]
        return configuration

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.logs if entry["event"] == event]


@pytest.fixture
def follower(folder: Folder) -> Follower:
    return Follower(folder)


def test_nothing_changed(follower: Follower) -> None:
    assert follower.look() is None
    assert follower.files.configuration.generation == 0


def test_a_changed_tenant_takes_effect_and_the_others_are_not_reread(folder: Folder) -> None:
    folder.tenant("beta")
    follower = Follower(folder)
    beta = follower.files.configuration.tenants["beta"]
    folder.tenant("acme", "name: Acme & Sons")
    configuration = follower.look()
    assert configuration is follower.files.configuration
    assert configuration.generation == 1
    assert configuration.tenants["acme"].name == "Acme & Sons"
    assert configuration.tenants["beta"] is beta
    assert follower.look() is None


def test_tenants_come_and_go(folder: Folder, follower: Follower) -> None:
    folder.tenant("beta")
    follower.look()
    assert follower.tenants == ["acme", "beta"]
    (folder.path / "tenants" / "acme.yaml").unlink()
    follower.look()
    assert follower.tenants == ["beta"]
    assert follower.files.configuration.generation == 2


def test_a_file_that_vanishes_before_it_is_read_is_removed_at_the_next_look(folder: Folder, follower: Follower) -> None:
    path = folder.tenant("acme", "name: Other")
    found = follower.files.differences()
    path.unlink()
    assert follower.files.apply(found) is None
    assert follower.tenants == ["acme"]
    assert follower.look()
    assert follower.tenants == []


def test_a_comment_changes_nothing(folder: Folder, follower: Follower) -> None:
    path = folder.tenant("acme")
    path.write_text(path.read_text() + "# a remark\n")
    assert follower.look() is None
    assert follower.files.configuration.generation == 0


def test_an_invalid_file_keeps_its_last_good_version_and_is_logged_once(folder: Folder, follower: Follower) -> None:
    good = follower.files.configuration.tenants["acme"]
    folder.tenant("acme", "\nnaam: x")
    assert follower.look() is None
    assert follower.files.configuration.tenants["acme"] is good
    (entry,) = follower.logged("settings_rejected")
    assert entry["file"].endswith("tenants/acme.yaml")
    assert (entry["line"], entry["tenant"], entry["serving"]) == (2, "acme", "last good version")
    assert follower.look() is None
    assert follower.logs == []
    folder.tenant("acme", "\nnaam: y  # changed, and still wrong")
    follower.look()
    assert len(follower.logged("settings_rejected")) == 1


def test_an_old_problem_is_not_logged_again_with_another_files_change(folder: Folder, follower: Follower) -> None:
    folder.tenant("beta", "naam: x")
    follower.look()
    assert len(follower.logged("settings_rejected")) == 1
    folder.tenant("acme", "name: Other")
    assert follower.look()
    assert follower.logs == []


def test_a_file_that_was_never_valid_is_broken_until_it_is(folder: Folder, follower: Follower) -> None:
    folder.tenant("beta", "naam: x")
    configuration = follower.look()
    assert configuration and list(configuration.broken) == ["beta"]
    assert configuration.tenants.keys() == {"acme"}
    folder.tenant("beta")
    configuration = follower.look()
    assert configuration and not configuration.broken
    assert configuration.tenants.keys() == {"acme", "beta"}


def test_metadata_is_followed_and_may_come_later(folder: Folder) -> None:
    metadata = folder.path / "tenants" / "idp.xml"
    text = metadata.read_text()
    metadata.unlink()
    follower = Follower(folder)
    assert list(follower.files.configuration.broken) == ["acme"]
    metadata.write_text(text)
    configuration = follower.look()
    assert configuration and configuration.tenants["acme"].provider.entity_id == "https://idp.acme.com/saml2"
    metadata.write_text(text.replace('https://idp.acme.com/saml2"', 'https://new.acme.com/"'))
    configuration = follower.look()
    assert configuration and configuration.tenants["acme"].provider.entity_id == "https://new.acme.com/"
    metadata.write_text("hello")
    assert follower.look() is None
    assert follower.files.configuration.tenants["acme"].provider.entity_id == "https://new.acme.com/"
    assert len(follower.logged("settings_rejected")) == 1


def test_a_file_named_by_a_variable_is_followed(folder: Folder) -> None:
    key = folder.path / "tenants" / "key.txt"
    key.write_text("one")
    folder.tenant("acme", "kombo: {integration_id: i, api_key: '${file:key.txt}'}")
    follower = Follower(folder)
    key.write_text("other")
    configuration = follower.look()
    assert configuration and configuration.tenants["acme"].kombo.api_key.get_secret_value() == "other"


def test_routes_and_completions_take_effect_and_the_rest_waits_for_a_restart(folder: Folder) -> None:
    follower = Follower(folder)
    folder.service(
        "audience: other\nsecrets: [fedcba9876543210fedcba9876543210]\n"
        "routes: [{path: /a, access: public}]\ncompletions: [{method: POST, path: '/{course}'}]"
    )
    configuration = follower.look()
    assert configuration
    assert [route.path for route in configuration.service.routes] == ["/a"]
    assert [rule.path for rule in configuration.service.completions] == ["/{course}"]
    assert configuration.service.audience == "content-platform"
    (entry,) = follower.logged("settings_restart_needed")
    assert entry["settings"] == ["audience", "secrets"]
    assert "fedcba" not in str(follower.logs)
    assert follower.look() is None
    assert follower.logs == []


def test_an_invalid_service_file_changes_nothing(folder: Folder, follower: Follower) -> None:
    folder.service("routes: [{path: /a, access: public}]\naudiance: x")
    assert follower.look() is None
    (entry,) = follower.logged("settings_rejected")
    assert (entry["line"], "tenant" in entry) == (2, False)
    folder.bridge.unlink()
    assert follower.look() is None
    assert len(follower.logged("settings_rejected")) == 1
    assert follower.tenants == ["acme"]


def test_a_lost_folder_loses_no_tenant(folder: Folder, follower: Follower) -> None:
    tenants = folder.path / "tenants"
    tenants.rename(folder.path / "away")
    assert follower.look() is None
    assert len(follower.logged("tenants_folder_not_read")) == 1
    assert follower.look() is None
    assert follower.logs == []
    (folder.path / "away").rename(tenants)
    assert follower.look() is None
    assert follower.tenants == ["acme"]


class TestClaims:
    """A domain belongs to whoever serves with it; a newcomer that wants it too waits."""

    def test_a_newcomer_cannot_take_a_domain(self, folder: Folder) -> None:
        folder.tenant("acme", "email_domains: [acme.com]")
        follower = Follower(folder)
        folder.tenant("aaa", "email_domains: [acme.com]")
        configuration = follower.look()
        assert configuration and configuration.by_domain["acme.com"].slug == "acme"
        assert list(configuration.broken) == ["aaa"]
        folder.tenant("acme")
        configuration = follower.look()
        assert configuration and configuration.by_domain["acme.com"].slug == "aaa"
        assert not configuration.broken

    def test_a_changed_tenant_cannot_either(self, folder: Folder) -> None:
        folder.tenant("acme", "email_domains: [acme.com]")
        folder.tenant("beta", "email_domains: [beta.com]")
        follower = Follower(folder)
        folder.tenant("beta", "email_domains: [beta.com, acme.com]")
        assert follower.look() is None
        (entry,) = follower.logged("settings_rejected")
        assert (entry["tenant"], entry["serving"]) == ("beta", "last good version")
        assert follower.files.configuration.by_domain["beta.com"].slug == "beta"

    def test_a_swap_in_one_go(self, folder: Folder) -> None:
        folder.tenant("acme", "email_domains: [acme.com]")
        folder.tenant("beta", "email_domains: [beta.com]")
        follower = Follower(folder)
        folder.tenant("acme", "email_domains: [beta.com]")
        folder.tenant("beta", "email_domains: [acme.com]")
        configuration = follower.look()
        assert configuration and configuration.by_domain["acme.com"].slug == "beta"

    def test_who_falls_back_takes_back_what_was_its_own(self, folder: Folder) -> None:
        for slug in ("acme", "beta", "gamma"):
            folder.tenant(slug, f"email_domains: [{slug}.com]")
        follower = Follower(folder)
        folder.tenant("acme", "email_domains: [new.com]")
        folder.tenant("beta", "email_domains: [new.com]")
        folder.tenant("gamma", "email_domains: [acme.com]")
        assert follower.look() is None
        by_domain = follower.files.configuration.by_domain
        assert {domain: tenant.slug for domain, tenant in by_domain.items()} == {
            "acme.com": "acme",
            "beta.com": "beta",
            "gamma.com": "gamma",
        }


@asynccontextmanager
async def watching(folder: Folder) -> AsyncIterator[asyncio.Queue[Configuration]]:
    queue: asyncio.Queue[Configuration] = asyncio.Queue()
    reloader = Reloader(folder.bridge, folder.environ, every=0.05, settled_after=0.05)
    task = asyncio.create_task(reloader.watch(queue.put_nowait))
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_watch_reports_changes(folder: Folder) -> None:
    async with watching(folder) as changes:
        folder.tenant("acme", "name: One")
        assert (await asyncio.wait_for(changes.get(), 5)).tenants["acme"].name == "One"
        folder.tenant("beta")
        configuration = await asyncio.wait_for(changes.get(), 5)
        assert (configuration.generation, list(configuration.tenants)) == (2, ["acme", "beta"])


async def test_a_file_that_is_replaced_is_never_missed_as_removed(folder: Folder) -> None:
    path = folder.path / "tenants" / "acme.yaml"
    aside = path.with_suffix(".old")
    reloader = Reloader(folder.bridge, folder.environ)
    path.rename(aside)
    assert reloader._look() is None
    shutil.copy(aside, path)
    assert reloader._look() is None
    reloader._look()
    assert list(reloader.configuration.tenants) == ["acme"]
    path.unlink()
    assert reloader._look() is None
    removed = reloader._look()
    assert removed and not removed.tenants


async def test_the_watch_outlives_what_nobody_foresaw(folder: Folder) -> None:
    seen: list[int] = []

    def changed(configuration: Configuration) -> None:
        seen.append(configuration.generation)
        if len(seen) == 1:
            raise RuntimeError("a listener's own fault")

    reloader = Reloader(folder.bridge, folder.environ, every=0.02, settled_after=0.02)
    with capture_logs() as logs:
        task = asyncio.create_task(reloader.watch(changed))
        for name in ("One", "Two"):
            before = len(seen)
            folder.tenant("acme", f"name: {name}")
            async with asyncio.timeout(5):
                while len(seen) == before:
                    await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen == [1, 2]
    assert [entry["event"] for entry in logs].count("settings_reload_failed") == 1


@pytest.mark.parametrize("line", ["{idle: 1m}", "{connections: 7}", "{log_requests: none}"])
def test_limits_of_forwarding_wait_for_a_restart_and_say_so(folder: Folder, follower: Follower, line: str) -> None:
    before = follower.files.configuration.service.forwarding
    folder.service(f"forwarding: {line}")
    assert follower.look() is None
    (entry,) = follower.logged("settings_restart_needed")
    assert (entry["settings"], entry["log_level"]) == (["forwarding"], "warning")
    assert follower.files.configuration.service.forwarding == before


def test_a_bad_start_is_an_error(folder: Folder) -> None:
    folder.service("audiance: x")
    with pytest.raises(SettingsError, match="audiance"):
        Reloader(folder.bridge, folder.environ)


def test_a_file_that_cannot_be_read_keeps_its_last_good_version(folder: Folder, follower: Follower) -> None:
    path = folder.path / "tenants" / "acme.yaml"
    path.unlink()
    path.mkdir()
    assert follower.look() is None
    assert follower.tenants == ["acme"]
    assert len(follower.logged("settings_rejected")) == 1
