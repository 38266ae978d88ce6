"""The Caddyfile as text and as Caddy reads it. What it does with requests is in tests/real/test_engines.py."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.generate.caddy import caddy
from bridge.generate.plan import Plan, Unwritable
from bridge.settings.addresses import Address, Upstream
from bridge.settings.forwarding import Forwarding
from bridge.stamp.headers import NAMES
from tests.generate.plans import LIMITS, PLAN, laid_open, said
from tests.real.engines.wheels import program

HOSTILE = yaml.safe_load((Path(__file__).parent / "hostile_values.yaml").read_text(encoding="utf-8"))
SECURE = Upstream("https", "platform.example.com", 443)


def lines(plan: Plan) -> list[str]:
    return [line.strip() for line in caddy(plan).splitlines()]


def adapted(text: str, folder: Path) -> Any:
    """What Caddy makes of a Caddyfile."""
    (folder / "Caddyfile").write_text(text, encoding="utf-8")
    command = [program("caddy"), "adapt", "--config", "Caddyfile"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("plan", [
    PLAN,
    replace(PLAN, upstream=SECURE, limits=Forwarding(upstream_ca=Path("/etc/own ca.pem"), upstream_name="platform")),
    replace(PLAN, upstream=Upstream("unix", path="/run/the platform/socket"), listen=Address("::1", 8443)),
    replace(PLAN, trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
    replace(PLAN, certificate=Path("/etc/a b.pem"), key=Path("/etc/a b.key"), doors=("/Shibboleth.sso/SAML2/POST",)),
], ids=["plain", "https", "unix", "trusting", "certificate"])  # fmt: skip
def test_caddy_takes_it(plan: Plan, tmp_path: Path) -> None:
    """Without a warning, and formatted as Caddy itself would."""
    assert adapted(caddy(plan), tmp_path)["admin"] == {"disabled": True, "config": {"persist": False}}


def test_the_way_to_the_platform_leads_through_the_bridges_answer(tmp_path: Path) -> None:
    def dials(found: Any, within: tuple[str, ...] = ()) -> list[tuple[str, tuple[str, ...]]]:
        if isinstance(found, dict):
            here = [(found["dial"], within)] if isinstance(found.get("dial"), str) else []
            return here + [each for key, value in found.items() for each in dials(value, (*within, key))]
        return [each for value in found for each in dials(value, within)] if isinstance(found, list) else []

    found = dials(adapted(caddy(PLAN), tmp_path))
    assert sorted({dial for dial, _ in found}) == sorted(
        map(str, (PLAN.bridge, PLAN.inside, Address(PLAN.upstream.host, PLAN.upstream.port)))
    )
    [within] = [within for dial, within in found if dial.endswith(f":{PLAN.upstream.port}")]
    assert "handle_response" in within


def test_every_identity_header_is_required_of_the_answer_and_set() -> None:
    found = lines(PLAN)
    for name in PLAN.identity:
        spelt = "-".join(part.capitalize() for part in name.split("-"))
        assert f"header {name} *" in found
        assert f"header_up {name} {{http.reverse_proxy.header.{spelt}}}" in found
    assert "request_header -X-Kombo-*" in found
    assert "request_header -X-Remote-User" in found


def test_a_name_is_looked_up_as_go_spells_it() -> None:
    found = lines(replace(PLAN, identity=("x-SSO-id", "REMOTE-1user")))
    assert "header_up x-SSO-id {http.reverse_proxy.header.X-Sso-Id}" in found
    assert "header_up REMOTE-1user {http.reverse_proxy.header.Remote-1user}" in found


def test_what_no_client_may_say_is_removed() -> None:
    found = lines(PLAN)
    gone = "x-forwarded-"  # the whole family, before anything else
    assert [n for n in PLAN.removed if not n.lower().startswith(gone) and f"header_up -{n}" not in found] == []
    assert found.index("request_header -X-Forwarded-*") < found.index("reverse_proxy 127.0.0.1:8081 {")
    for odd in "_.!#$%&'*+^|~":
        assert f"header_up `-*{odd}*`" in found
    assert 'header_up "-*`*"' in found


def test_only_trusted_proxies_say_where_a_client_is() -> None:
    assert not [line for line in lines(PLAN) if "passed" in line or line.startswith("trusted_proxies ")]
    found = lines(replace(PLAN, trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1/128"))))
    assert "trusted_proxies static 10.0.0.0/8 ::1/128" in found
    assert "trusted_proxies_strict" in found


def test_the_limits_are_those_of_the_settings() -> None:
    found = lines(replace(PLAN, limits=LIMITS))
    for line in (
        "dial_timeout 2s",
        "response_header_timeout 3s",
        "read_timeout 600s",
        "read_header 7s",
        "idle 50s",
        "keepalive 20s",
        "keepalive_idle_conns 9",
        "grace_period 11s",
        "max_header_size 20000",
    ):
        assert line in found


def test_a_secure_platform_is_told_the_host_and_verified() -> None:
    own = Forwarding(upstream_ca=Path("/etc/own-ca.pem"), upstream_name="platform.internal")
    found = lines(replace(PLAN, upstream=SECURE, limits=own))
    assert "reverse_proxy https://platform.example.com:443 {" in found
    assert "header_up Host {http.request.hostport}" in found  # which Caddy would replace by the platform's own
    assert "tls_trust_pool file /etc/own-ca.pem" in found
    assert "tls_server_name platform.internal" in found
    assert not [line for line in found if "insecure" in line]


def exposed(value: str) -> Plan:
    upstream = Upstream("unix", path=f"/run/{value}")
    return laid_open(value, upstream=upstream, limits=Forwarding(upstream_ca=Path("/etc/ca") / value))


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_never_more_than_a_value(value: str, tmp_path: Path) -> None:
    try:
        text = caddy(exposed(value))
    except Unwritable:
        assert not re.fullmatch(r"[A-Za-z0-9 ._-]+", value)
        return

    mark = adapted(caddy(exposed("MARK")), tmp_path)
    assert adapted(text, tmp_path) == said(mark, value)


@pytest.mark.parametrize("name", ["X-A\n", "X-{env.HOME}", 'X-"', "X-`", ""])
def test_no_name_breaks_out(name: str) -> None:
    for plan in (replace(PLAN, identity=(*NAMES, name)), replace(PLAN, removed=(name,))):
        with pytest.raises(Unwritable):
            caddy(plan)
