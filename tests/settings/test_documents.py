"""Metadata that does not come from the tenant's file: by URL, and the end of what any metadata may be believed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.errors import StateError
from bridge.settings.idp import Known
from bridge.settings.load import SettingsFiles
from bridge.settings.model import Configuration, MetadataUrl, SourceError
from bridge.settings.reload import Reloader

from .conftest import Folder

URL = "https://idp.acme.com/metadata"


class Shelf:
    """Documents as somebody else fetches them; `asked` are those that were looked up."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Known] = {}
        self.asked: list[str] = []

    def __call__(self, slug: str, url: str) -> Known | None:
        self.asked.append(slug)
        return self.known.get((slug, url))


@pytest.fixture
def shelf(folder: Folder) -> Shelf:
    folder.tenant("acme", f"saml: {{metadata: {URL}}}")
    folder.tenant("beta", f"saml: {{metadata: {URL}}}")
    return Shelf()


def document(folder: Folder, **attributes: str) -> bytes:
    text = (folder.path / "tenants" / "idp.xml").read_text()
    more = "".join(f' {name}="{value}"' for name, value in attributes.items())
    assert "entityID=" in text
    return text.replace("entityID=", f"{more} entityID=", 1).encode()


def stamp(offset: timedelta) -> str:
    return (datetime.now(UTC) + offset).strftime("%Y-%m-%dT%H:%M:%SZ")


def problem(configuration: Configuration, folder: Folder, slug: str = "acme") -> str:
    return str(configuration.broken[slug]).removeprefix(f"{folder.path}/")


def test_a_url_without_a_document_is_awaited(folder: Folder, shelf: Shelf) -> None:
    configuration = SettingsFiles(folder.bridge, {}, shelf).configuration
    assert problem(configuration, folder) == (
        f"tenants/acme.yaml:1: `saml.metadata`: {URL} is yet to be fetched, which `kombo-bridge serve` does; until then"
        " nobody can log in"
    )
    assert configuration.problems == ()
    assert list(configuration.awaited) == list(configuration.broken.values())
    [first, _] = configuration.metadata_urls
    assert isinstance(first, MetadataUrl)
    assert (first.slug, first.url, first.certificate) == ("acme", URL, None)
    assert first.party.acs == "https://learn.example.com/_bridge/saml/acme/acs"


def test_a_url_that_failed_is_a_problem(folder: Folder, shelf: Shelf) -> None:
    shelf.known["acme", URL] = Known(None, "the answer is HTTP 404, not 200")
    configuration = SettingsFiles(folder.bridge, {}, shelf).configuration
    assert "could not be fetched yet: the answer is HTTP 404" in problem(configuration, folder)
    assert len(configuration.problems) == 1


def test_a_document_that_cannot_be_used_is_a_problem(folder: Folder, shelf: Shelf) -> None:
    shelf.known["acme", URL] = Known(b"hello")
    configuration = SettingsFiles(folder.bridge, {}, shelf).configuration
    assert "not well-formed" in problem(configuration, folder)
    error = configuration.broken["acme"]
    assert isinstance(error, SourceError)
    assert not error.awaited
    assert len(configuration.metadata_urls) == 2


def test_other_problems_are_said_first(folder: Folder, shelf: Shelf) -> None:
    folder.tenant("acme", f"saml: {{metadata: {URL}}}\nhosts: [learn.example.com]")
    configuration = SettingsFiles(folder.bridge, {}, shelf).configuration
    assert not isinstance(configuration.broken["acme"], SourceError)
    assert [source.slug for source in configuration.metadata_urls] == ["beta"]


def test_documents_that_come_are_read_and_nothing_else_is(folder: Folder, shelf: Shelf) -> None:
    folder.tenant("gamma")
    files = SettingsFiles(folder.bridge, {}, shelf)
    gamma = files.configuration.tenants["gamma"]
    shelf.asked.clear()
    shelf.known["acme", URL] = Known(document(folder))
    configuration = files.documents_changed(["acme", "unknown"])
    assert configuration is files.configuration
    assert configuration
    assert (sorted(configuration.tenants), list(configuration.broken)) == (["acme", "gamma"], ["beta"])
    assert configuration.tenants["gamma"] is gamma
    assert shelf.asked == ["acme"]
    assert files.documents_changed(["acme"]) is None
    assert files.configuration.generation == 1


def test_a_file_that_is_being_written_is_left_for_the_next_look(folder: Folder, shelf: Shelf) -> None:
    files = SettingsFiles(folder.bridge, {}, shelf)
    (folder.path / "tenants" / "acme.yaml").write_text("name: Ac")
    shelf.known["acme", URL] = Known(document(folder))
    assert files.documents_changed(["acme"]) is None
    folder.tenant("acme", f"saml: {{metadata: {URL}}}\nname: Finished")
    configuration = files.apply(files.differences())
    assert configuration
    assert configuration.tenants["acme"].name == "Finished"


def test_a_document_that_goes_bad_keeps_the_last_good_version(folder: Folder, shelf: Shelf) -> None:
    shelf.known["acme", URL] = Known(document(folder))
    files = SettingsFiles(folder.bridge, {}, shelf)
    good = files.configuration.tenants["acme"]
    shelf.known["acme", URL] = Known(b"hello")
    with capture_logs() as logs:
        assert files.documents_changed(["acme"]) is None
    assert files.configuration.tenants["acme"] is good
    assert [log["serving"] for log in logs] == ["last good version"]


def test_an_older_validity_does_not_outlive_a_newer_one(folder: Folder, shelf: Shelf) -> None:
    """The tenant is the same, so it stays the same object; when it ends is what the newest document says."""
    shelf.known["acme", URL] = Known(document(folder, validUntil=stamp(timedelta(hours=1))))
    files = SettingsFiles(folder.bridge, {}, shelf)
    first, good = files.valid_until, files.configuration.tenants["acme"]
    shelf.known["acme", URL] = Known(document(folder, validUntil=stamp(timedelta(hours=2))))
    assert files.documents_changed(["acme"]) is None
    assert first
    assert files.valid_until == first + timedelta(hours=1)
    assert files.configuration.tenants["acme"] is good
    assert files.configuration.valid_until == {"acme": files.valid_until}
    assert files.configuration.generation == 0
    shelf.known["acme", URL] = Known(document(folder))
    files.documents_changed(["acme"])
    assert files.valid_until is None
    assert files.configuration.valid_until == {}


@pytest.mark.parametrize("by", ["file", "url"])
async def test_metadata_in_force_ends_with_its_validity(folder: Folder, shelf: Shelf, by: str) -> None:
    text = document(folder, validUntil=stamp(timedelta(seconds=3)))
    shelf.known["acme", URL] = Known(text)
    if by == "file":
        (folder.path / "tenants" / "ending.xml").write_bytes(text)
        folder.tenant("acme", "saml: {metadata: ending.xml}")
    reloader = Reloader(folder.bridge, {}, shelf, every=0.05, settled_after=0.05)
    assert "acme" in reloader.configuration.tenants
    changes: asyncio.Queue[Configuration] = asyncio.Queue()
    with capture_logs() as logs:
        task = asyncio.create_task(reloader.watch(changes.put_nowait))
        ended = await asyncio.wait_for(changes.get(), 20)
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "acme" not in ended.tenants
    assert ended.valid_until["acme"] <= datetime.now(UTC)
    assert problem(ended, folder).startswith("tenants/acme.yaml:1: `saml.metadata`: the IdP's metadata was valid until")
    assert changes.empty()
    assert [log["event"] for log in logs].count("settings_rejected") == 1


def test_metadata_that_is_over_is_not_taken(folder: Folder) -> None:
    over = document(folder, validUntil="2020-01-01T00:00:00Z")
    (folder.path / "tenants" / "over.xml").write_bytes(over)
    folder.tenant("acme", "\nsaml: {metadata: over.xml}")
    assert folder.load().valid_until == {"acme": datetime(2020, 1, 1, tzinfo=UTC)}
    assert folder.problems() == [
        "tenants/acme.yaml:2: `saml.metadata`: the IdP's metadata was valid until 2020-01-01 00:00 UTC and not longer"
    ]


def test_a_pinned_certificate_is_followed_as_other_files_are(folder: Folder) -> None:
    folder.tenant("acme", "saml: {metadata: idp.xml, metadata_certificate: signer.pem}")
    files = SettingsFiles(folder.bridge, {})
    signer = folder.path / "tenants" / "signer.pem"
    assert "there is no file" in problem(files.configuration, folder)
    signer.write_text("hello")
    assert list(files.differences()) == [str(signer)]
    configuration = files.apply(files.differences())
    assert configuration
    assert problem(configuration, folder).startswith("tenants/acme.yaml:1: `saml.metadata_certificate`: it is no certi")


def test_an_idp_that_takes_requests_by_post_only_is_good(folder: Folder) -> None:
    folder.tenant("acme", "saml: {metadata: post.xml}")
    assert folder.acme().provider.sso_redirect is None


def test_no_state_is_made_for_a_look(folder: Folder) -> None:
    folder.load()
    assert not (Path(folder.path) / "var").exists()


async def test_what_changes_while_the_state_is_out_of_reach_is_not_forgotten(folder: Folder, shelf: Shelf) -> None:
    """A deployment that replaces every file at once, in the very moment in which the database fails over."""
    reaches = True

    def documents(slug: str, url: str) -> Known | None:
        if not reaches:
            raise StateError("the state could not be read")
        return shelf(slug, url)

    def renamed() -> bool:
        return [tenant.name for slug, tenant in now().tenants.items() if slug in ("acme", "gamma")] == ["New", "Gamma"]

    def now() -> Configuration:
        return reloader.configuration

    shelf.known["acme", URL] = shelf.known["beta", URL] = Known(document(folder))
    folder.tenant("delta")
    reloader = Reloader(folder.bridge, {}, documents, every=0.02, settled_after=0.01)
    before = now()
    watching = asyncio.ensure_future(reloader.watch(lambda _: None))
    try:
        reaches = False
        with capture_logs() as logs:
            folder.service("routes: [{path: /**, access: course, course_parameter: id}]")
            folder.tenant("acme", f"name: New\nsaml: {{metadata: {URL}}}")
            folder.tenant("gamma", "name: Gamma")
            (folder.path / "tenants" / "delta.yaml").unlink()
            await asyncio.sleep(0.3)
        assert now() is before
        assert {log["reason"] for log in logs} == {"the state could not be read"}
        reaches = True
        async with asyncio.timeout(5):
            while not renamed():
                await asyncio.sleep(0.01)
        assert now().service.routes
        assert set(now().tenants) == {"acme", "beta", "gamma"}
    finally:
        watching.cancel()
