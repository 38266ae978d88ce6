"""What goes into every configuration, out of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.generate.plan import WRITTEN, Unwritable, plan
from bridge.proxy.names import AnswerNames, Kind, RequestNames, removed_names
from bridge.settings.addresses import Address
from bridge.settings.model import Configuration
from bridge.stamp.headers import NAMES
from tests.support.deployment import Deployment

HEADERS = yaml.safe_load((Path(__file__).parents[1] / "proxy" / "cases" / "headers.yaml").read_text())


def loaded(folder: Path, **service: Any) -> Configuration:
    return Deployment(folder, public_url=service.pop("public_url", "http://127.0.0.1:7777"), service=service).load()


def test_listeners_are_where_the_engine_reaches_them(tmp_path: Path) -> None:
    found = plan(loaded(tmp_path, listen="0.0.0.0:8090", internal_listen="127.0.0.1:8091"))
    assert (found.listen, found.bridge, found.inside) == (
        Address("0.0.0.0", 80),
        Address("127.0.0.1", 8090),
        Address("127.0.0.1", 8091),
    )
    with_tls = plan(loaded(tmp_path), certificate=Path("/c.pem"), key=Path("/k.pem"))
    assert with_tls.listen == Address("0.0.0.0", 443)
    assert plan(loaded(tmp_path, listen="[::]:8090")).bridge == Address("::1", 8090)


@pytest.mark.parametrize(
    ("listen", "settings"),
    [
        ("127.0.0.1:8080", {}),
        ("127.0.0.1:8081", {}),
        ("0.0.0.0:8080", {}),
        ("127.0.0.1:8080", {"listen": "0.0.0.0:8080"}),
        ("127.0.0.1:80", {"listen": "127.0.0.1:0"}),
        ("127.0.0.1:80", {"internal_listen": "127.0.0.1:0"}),
    ],
)
def test_where_nobody_could_be_reached(tmp_path: Path, listen: str, settings: dict[str, str]) -> None:
    with pytest.raises(Unwritable):
        plan(loaded(tmp_path, **settings), listen=Address.parse(listen))


def test_all_hosts_and_doors(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, public_url="https://learn.example.com")
    deployment.tenants["acme"]["hosts"] = ["acme.example.com", "acme.example.org:8443"]
    deployment.tenants["globex"]["saml"]["sp_acs"] = "https://learn.example.com/Shibboleth.sso/SAML2/POST"
    found = plan(deployment.load())
    assert found.hosts == ("learn.example.com", "acme.example.com", "acme.example.org:8443")
    assert found.doors == ("/Shibboleth.sso/SAML2/POST",)
    assert found.scheme == "https"


def test_every_name_that_the_bridge_removes_is_listed(tmp_path: Path) -> None:
    """But for families that nobody can list, and what every proxy writes anew for each connection."""
    found = plan(loaded(tmp_path, headers={"X-Remote-User": "sub", "X-Client-IP": "tenant"}))
    listed = {name.lower() for name in (*found.identity, *found.removed, *WRITTEN)}
    families = {"X-Kombo-Anything-Else", "X-Kombo-", "X-Forwarded-Anything"}
    names = {name for name in HEADERS["identity"] + HEADERS["dropped"] if "_" not in name} - families
    assert {name for name in names if name.lower() not in listed} == set()
    assert not listed & {name.lower() for name in HEADERS["kept"]}
    assert sorted(found.identity) == sorted((*NAMES, "X-Remote-User", "X-Client-IP"))
    assert len(listed) == len(found.identity) + len(found.removed) + len(WRITTEN)


def test_what_is_listed_is_what_the_bridge_itself_removes() -> None:
    names, answers = RequestNames(), AnswerNames()
    assert {name for name in removed_names() if names[name.encode()] is Kind.KEEP} == set()
    assert all(names[name.upper().encode()] is not Kind.KEEP for name in removed_names())
    assert all(answers[name.encode()] is Kind.IDENTITY for name in NAMES)
    assert len(removed_names()) > 300
