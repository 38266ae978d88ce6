"""What good files become."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from bridge.settings.model import IdentityEntry
from bridge.settings.values import Address, Regex, Upstream

from .conftest import Folder


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        # YAML 1.1 would turn each of these into something else than text.
        ("audience: no", "audience", "no"),
        ("audience: 12:30", "audience", "12:30"),
        ("audience: 1e3", "audience", "1e3"),
        ("audience: 010", "audience", "010"),
        ("audience: 2026-01-01", "audience", "2026-01-01"),
        ("audience: 'null'", "audience", "null"),
        ("completion_header: true", "completion_header", True),
        ("completion_header: 'false'", "completion_header", False),
        ("public_url: https://LEARN.example.com:443", "public_url", "https://learn.example.com"),
        ("public_url: http://127.0.0.1:8080", "public_url", "http://127.0.0.1:8080"),
        ("public_url: http://learn.localhost", "public_url", "http://learn.localhost"),
        ("public_url: http://[::1]:80", "public_url", "http://[::1]"),
        ("listen: '[::]:8080'", "listen", Address("::", 8080)),
        ("listen: localhost:0", "listen", Address("localhost", 0)),
        ("internal_token: t\ninternal_listen: 0.0.0.0:81", "internal_listen", Address("0.0.0.0", 81)),
        ("upstream: https://app:8443", "upstream", Upstream("https", "app", 8443)),
        ("upstream: http://app_1", "upstream", Upstream("http", "app_1", 80)),
        ("upstream: unix:/run/app.sock", "upstream", Upstream("unix", path="/run/app.sock")),
        ("state: sqlite:////abs/b.db?timeout=5", "state", "sqlite:////abs/b.db?timeout=5"),
        ("state: postgresql://u:p@h/d", "state", "postgresql://u:p@h/d"),
        ("trusted_proxies: [10.0.0.0/8, '::1']", "trusted_proxies", (ip_network("10.0.0.0/8"), ip_network("::1"))),
        ("headers: {X-Remote-User: sub}", "headers", {"X-Remote-User": "sub"}),
        ("\ufeffaudience: bom", "audience", "bom"),
    ],
)
def test_service_values(folder: Folder, text: str, setting: str, value: object) -> None:
    folder.service(text)
    assert getattr(folder.load().service, setting) == value


def test_relative_paths_start_at_the_folder_of_the_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.service("upstream: unix:run/app.sock")
    monkeypatch.chdir("/")
    service = folder.load().service
    assert service.state == f"sqlite:///{folder.path}/var/bridge.db"
    assert service.tenants == folder.path / "tenants"
    assert service.upstream.path == f"{folder.path}/run/app.sock"
    assert folder.acme().saml.metadata == folder.path / "tenants" / "idp.xml"


def test_a_relative_config_path_gives_absolute_paths(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    folder = Folder(Path(), {})
    assert folder.load().service.state == f"sqlite:///{Path.cwd()}/var/bridge.db"
    folder.service("audience: ''")
    assert folder.problems() == [
        "bridge.yaml:1: `audience` is empty: write it in printable ASCII without blanks, at most 1024 characters"
    ]


def test_the_defaults_of_a_tenant(folder: Folder) -> None:
    acme = folder.acme()
    assert acme.slug == "acme"
    assert acme.integration_id == "workday:1"
    assert acme.identity == (IdentityEntry(tier="name_id"),)
    assert acme.gate.kind("anything") == "assigned"
    assert (acme.session.lifetime, acme.session.idle) == (timedelta(hours=12), timedelta(hours=2))
    assert acme.share == {"email", "name"}
    assert acme.provider.entity_id == "https://idp.acme.com/saml2"
    assert acme.party.entity_id == "https://learn.example.com/_bridge/saml/acme/metadata"
    assert acme.party.acs == "https://learn.example.com/_bridge/saml/acme/acs"


IDENTITIES = [
    ("name_id", IdentityEntry(tier="name_id")),
    ("{name_id: true, on_miss: next}", IdentityEntry(tier="name_id", on_miss="next")),
    ("attribute: lms_user_id", IdentityEntry(tier="attribute", source="lms_user_id")),
    ("attribute: name_id", IdentityEntry(tier="attribute", source="name_id")),
    ("email: mail", IdentityEntry(tier="email", source="mail")),
    ("email: name_id", IdentityEntry(tier="email")),
    (
        "{attribute: 'http://schemas/x', extract: '(?P<id>.*)@x', remote_extract: 'a:(?P<id>.*)'}",
        IdentityEntry(
            tier="attribute",
            source="http://schemas/x",
            extract=Regex.parse("(?P<id>.*)@x"),
            remote_extract=Regex.parse("a:(?P<id>.*)"),
        ),
    ),
]


@pytest.mark.parametrize(("text", "entry"), IDENTITIES)
def test_identity_entries(folder: Folder, text: str, entry: IdentityEntry) -> None:
    folder.tenant("acme", f"identity:\n  - {text}")
    assert folder.acme().identity == (entry,)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("gate: library", {"lib-1": "library", "x": "library"}),
        ("gate: {default: assigned, library: ['lib-*']}", {"lib-1": "library", "LIB-1": "assigned", "x": "assigned"}),
        ("gate: {default: library, assigned: ['a', 'b?']}", {"a": "assigned", "b1": "assigned", "b": "library"}),
    ],
)
def test_gates(folder: Folder, text: str, kinds: dict[str, str]) -> None:
    folder.tenant("acme", text)
    gate = folder.acme().gate
    assert {origin: gate.kind(origin) for origin in kinds} == kinds


def test_settings_that_need_the_library_gate(folder: Folder) -> None:
    folder.tenant("acme", "gate: library\non_launch: enroll\nunmatched: pass")
    acme = folder.acme()
    assert (acme.on_launch, acme.unmatched) == ("enroll", "pass")


@pytest.mark.parametrize(
    ("text", "lifetime", "idle"),
    [
        ("session: {lifetime: 30d}", timedelta(days=30), None),
        ("session: {idle: 5m}", timedelta(hours=8), timedelta(minutes=5)),
        ("session: {lifetime: 1h, idle: 90s}", timedelta(hours=1), timedelta(seconds=90)),
        ("", timedelta(hours=8), timedelta(hours=1)),
    ],
)
def test_a_tenants_session(folder: Folder, text: str, lifetime: timedelta, idle: timedelta | None) -> None:
    folder.service("session: {lifetime: 8h, idle: 1h}")
    folder.tenant("acme", text)
    session = folder.acme().session
    assert (session.lifetime, session.idle) == (lifetime, idle)


def test_a_tenant_overrides_any_key_of_kombo(folder: Folder) -> None:
    folder.service("kombo: {api_key: ours, sync_every: 1h, webhook_secret: hook}")
    folder.tenant("acme", "kombo: {integration_id: i, api_key: theirs, api_url: 'https://api.us.kombo.dev/v1/'}")
    kombo = folder.acme().kombo
    assert kombo.api_key.get_secret_value() == "theirs"
    assert kombo.api_url == "https://api.us.kombo.dev/v1"
    assert kombo.sync_every == timedelta(hours=1)
    assert kombo.webhook_secret and kombo.webhook_secret.get_secret_value() == "hook"


@pytest.mark.parametrize(
    ("public_url", "host", "header", "acs"),
    [
        ("https://learn.example.com", "ACME.example.com", "acme.example.com", "https://acme.example.com"),
        ("https://learn.example.com", "acme.example.com:443", "acme.example.com", "https://acme.example.com"),
        (
            "https://learn.example.com:8443",
            "acme.example.com",
            "acme.example.com:8443",
            "https://acme.example.com:8443",
        ),
        ("http://127.0.0.1:8080", "acme.localhost", "acme.localhost:8080", "http://acme.localhost:8080"),
        ("http://127.0.0.1:8080", "acme.localhost:80", "acme.localhost", "http://acme.localhost"),
    ],
)
def test_a_tenants_host(folder: Folder, public_url: str, host: str, header: str, acs: str) -> None:
    folder.service(f"public_url: {public_url}")
    folder.tenant("acme", f"hosts: ['{host}', localhost:1]")
    configuration = folder.load()
    acme = folder.acme()
    assert configuration.by_host[header] is configuration.tenants["acme"]
    assert acme.party.acs == f"{acs}/_bridge/saml/acme/acs"
    assert acme.party.entity_id == f"{public_url}/_bridge/saml/acme/metadata"
    assert configuration.login_origin(acme) == acs


def test_a_public_host_is_no_loopback_origin(folder: Folder) -> None:
    folder.service("public_url: http://127.0.0.1:8080")
    folder.tenant("acme", "hosts: [acme.example.com]")
    assert folder.problems() == [
        "tenants/acme.yaml:1: `hosts`: acme.example.com:8080 would be plain http, like public_url:"
        " write a loopback name (acme.example.com.localhost)"
    ]


def test_an_older_entity_id_and_email_domains(folder: Folder) -> None:
    folder.tenant(
        "acme", "saml: {metadata: idp.xml, sp_entity_id: 'https://old.example.com/sp'}\nemail_domains: [ACME.com]"
    )
    configuration = folder.load()
    assert configuration.tenants["acme"].party.entity_id == "https://old.example.com/sp"
    assert configuration.by_domain["acme.com"].slug == "acme"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Acme.yaml", "tenants/Acme.yaml:1: the file's name is no slug"),
        ("-acme.yaml", "tenants/-acme.yaml:1: the file's name is no slug"),
        ("a_b.yaml", "tenants/a_b.yaml:1: the file's name is no slug"),
        (f"{'a' * 64}.yaml", f"tenants/{'a' * 64}.yaml:1: the file's name is no slug"),
        ("acme.yml", "tenants/acme.yml:1: the file's name is no slug"),
    ],
)
def test_a_files_name_must_be_a_slug(folder: Folder, name: str, message: str) -> None:
    folder.tenant("acme").rename(folder.path / "tenants" / name)
    assert [problem[: len(message)] for problem in folder.problems()] == [message]
    assert not folder.load().tenants


def test_other_files_in_the_folder_are_none_of_ours(folder: Folder) -> None:
    for name in (".#acme.yaml", "acme.yaml~", "acme.yaml.bak", "README"):
        (folder.path / "tenants" / name).write_text("rubbish: [")
    assert list(folder.load().tenants) == ["acme"]
    assert folder.problems() == []


CLASHES = [
    ("email_domains: [acme.com]", "email_domains: [x.com, ACME.com]", "email domain acme.com"),
    ("hosts: [a.example.com]", "hosts: ['a.example.com:443']", "host a.example.com"),
    (
        "saml: {metadata: idp.xml, sp_entity_id: old}",
        "saml: {metadata: idp.xml, sp_entity_id: old}",
        "SP entityID old at the IdP https://idp.acme.com/saml2",
    ),
]


@pytest.mark.parametrize(("one", "other", "what"), CLASHES)
def test_two_tenants_that_claim_the_same_are_both_broken(folder: Folder, one: str, other: str, what: str) -> None:
    folder.tenant("acme", one)
    folder.tenant("beta", f"# a line more\n{other}")
    folder.tenant("other")
    assert list(folder.load().tenants) == ["other"]
    (acme, beta) = folder.problems()
    assert acme.startswith(f"tenants/acme.yaml:1: the {what} is also in ")
    assert beta.startswith(f"tenants/beta.yaml:2: the {what} is also in ")
    assert "tenants/beta.yaml" in acme
    assert "tenants/acme.yaml" in beta
