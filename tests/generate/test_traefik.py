"""Traefik's configuration as a document. What Traefik does with requests is in tests/real/test_engines.py."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.generate.plan import Plan, Unwritable
from bridge.generate.traefik import FILE, traefik
from bridge.settings.addresses import Address, Upstream
from bridge.settings.forwarding import Forwarding
from bridge.stamp.headers import listed
from tests.generate.plans import LIMITS, PLAN, laid_open, said

HOSTILE = yaml.safe_load((Path(__file__).parent / "hostile_values.yaml").read_text(encoding="utf-8"))
SECURE = Upstream("https", "platform.example.com", 443)


@cache
def document(plan: Plan) -> Any:
    return yaml.safe_load(traefik(plan))


def entry(plan: Plan) -> Any:
    [clients] = document(plan)["entryPoints"].values()
    return clients


def middleware(plan: Plan, name: str) -> Any:
    [found] = document(plan)["http"]["middlewares"][name].values()
    return found


def test_it_stands_alone() -> None:
    """Nobody is called at home, there is no dashboard, and the one other file that it reads is itself."""
    found = document(PLAN)
    assert found["global"] == {"checkNewVersion": False, "sendAnonymousUsage": False}
    assert found["providers"] == {"file": {"filename": FILE, "watch": False}}
    assert set(found) == {"global", "log", "providers", "entryPoints", "http"}


def test_every_way_to_the_platform_leads_through_the_question() -> None:
    routers = document(PLAN)["http"]["routers"]
    asked = {name: router["middlewares"] for name, router in routers.items() if router["service"] == "platform"}
    assert asked == {"platform": ["clean", "ask", "answers"], "bodiless": ["clean", "ask-alone", "answers"]}
    for name in ("ask", "ask-alone"):
        said = f"/auth/traefik/headers/{listed(PLAN.identity)}"
        assert middleware(PLAN, name)["address"] == f"http://127.0.0.1:8081{said}"
        assert middleware(PLAN, name)["trustForwardHeader"] is False
    assert sorted(routers, key=lambda name: routers[name]["priority"]) == ["platform", "bodiless", "bridge"]


def test_a_path_is_left_to_the_bridge() -> None:
    found = entry(PLAN)["http"]
    assert found["sanitizePath"] is False
    assert all(found["encodedCharacters"].values())
    assert len(found["encodedCharacters"]) == 7


def test_the_bridge_alone_fills_in_every_identity_header() -> None:
    found = middleware(PLAN, "ask")
    copied = re.compile(found["authResponseHeadersRegex"], re.IGNORECASE)
    names = [*PLAN.identity, "Cookie"]
    assert [name for name in names if not copied.match(name) and name not in found["authResponseHeaders"]] == []


def test_what_no_client_may_say_is_removed() -> None:
    removed = middleware(PLAN, "clean")["customRequestHeaders"]
    assert [name for name in (*PLAN.removed, "Forwarded") if removed.get(name) != ""] == []
    assert removed["X-Forwarded-Proto"] == "https"
    assert entry(PLAN)["http"]["aliasHeadersStrategy"] == "delete"


def test_only_trusted_proxies_say_where_a_client_is() -> None:
    assert "forwardedHeaders" not in entry(PLAN)
    plan = replace(PLAN, trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
    assert entry(plan)["forwardedHeaders"] == {"trustedIPs": ["10.0.0.0/8", "fd00::/8"]}
    removed = middleware(plan, "clean")["customRequestHeaders"]
    assert {removed[name] for name in ("X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP")} == {""}


def test_what_the_platform_says_to_the_bridge_alone_is_removed() -> None:
    removed = middleware(PLAN, "answers")["customResponseHeaders"]
    assert [name for name in PLAN.answers_removed if removed.get(name) != ""] == []


@pytest.mark.parametrize(("value", "other"), [
    ("websocket", False), ("WebSocket", False), ("WEBSOCKET", False), ("h2c", True), ("", True), ("websockets", True),
    ("websocket, h2c", True), ("h2c, websocket", True), ("websockex", True), ("xebsocket", True), ("TLS/1.0", True),
    (" websocket", True), ("web\u017focket", True),
])  # fmt: skip
def test_which_upgrades_are_left_to_the_bridge(value: str, other: bool) -> None:
    rule = document(PLAN)["http"]["routers"]["bridge"]["rule"]
    [pattern] = re.findall(r"HeaderRegexp\(`Upgrade`, `(\^.*?\$)`\)", rule)
    assert bool(re.search(pattern, value)) is other


def test_what_is_the_bridges_goes_to_it() -> None:
    rule = document(replace(PLAN, doors=("/Shibboleth.sso/SAML2/POST",)))["http"]["routers"]["bridge"]["rule"]
    for path in ("PathPrefix(`/_bridge/`)", "Path(`/_bridge`)", "Path(`/Shibboleth.sso/SAML2/POST`)"):
        assert path in rule.split(" || ")


def test_the_limits_are_those_of_the_settings() -> None:
    plan = replace(PLAN, limits=LIMITS)
    transport = document(plan)["http"]["serversTransports"]["platform"]
    assert transport["forwardingTimeouts"] == {
        "dialTimeout": "2s",
        "responseHeaderTimeout": "3s",
        "idleConnTimeout": "20s",
    }
    assert transport["maxIdleConnsPerHost"] == 9
    assert entry(plan)["http"]["maxHeaderBytes"] == 20_000
    assert entry(plan)["transport"]["respondingTimeouts"]["idleTimeout"] == "50s"
    assert entry(plan)["transport"]["lifeCycle"] == {"graceTimeOut": "11s"}


def test_a_secure_platform_is_verified() -> None:
    own = Forwarding(upstream_ca=Path("/etc/own-ca.pem"), upstream_name="platform.internal")
    plan = replace(PLAN, upstream=SECURE, limits=own)
    http = document(plan)["http"]
    assert http["services"]["platform"]["loadBalancer"]["servers"] == [{"url": "https://platform.example.com"}]
    assert http["services"]["platform"]["loadBalancer"]["passHostHeader"] is True
    transport = http["serversTransports"]["platform"]
    assert (transport["serverName"], transport["rootCAs"]) == ("platform.internal", ["/etc/own-ca.pem"])
    assert "insecureSkipVerify" not in transport


def test_tls() -> None:
    plan = replace(PLAN, certificate=Path("/etc/site.pem"), key=Path("/etc/site.key"), listen=Address("::", 443))
    pair = {"certFile": "/etc/site.pem", "keyFile": "/etc/site.key"}
    assert document(plan)["tls"] == {"stores": {"default": {"defaultCertificate": pair}}}
    assert (entry(plan)["address"], entry(plan)["http"]["tls"]) == ("[::]:443", {})


def test_a_platform_at_a_unix_socket_is_out_of_reach() -> None:
    with pytest.raises(Unwritable, match="unix socket"):
        traefik(replace(PLAN, upstream=Upstream("unix", path="/run/platform")))


def exposed(value: str) -> Plan:
    return laid_open(value, upstream=SECURE, limits=Forwarding(upstream_ca=Path("/etc/ca") / value))


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_never_more_than_a_value(value: str) -> None:
    if "`" in value:
        with pytest.raises(Unwritable):
            traefik(exposed(value))
        return

    text = traefik(exposed(value))
    assert yaml.safe_load(text) == said(document(exposed("MARK")), value)
    assert text.isascii()
    assert "{{" not in text  # which Traefik would carry out
    assert len(text.splitlines()) == len(traefik(exposed("MARK")).splitlines())


@pytest.mark.parametrize("name", ["X-A\nX-B: 1", 'X-"', "X-{{ env }}", "X: &a"])
def test_no_name_breaks_out(name: str) -> None:
    plan = replace(PLAN, identity=(*PLAN.identity, name), removed=(name,))
    assert name in middleware(plan, "ask")["authResponseHeaders"]
    assert middleware(plan, "clean")["customRequestHeaders"][name] == ""
    assert "{{" not in traefik(plan)
