"""Envoy's configuration as a document. What the engine makes of it is in tests/real/test_engines.py."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from datetime import timedelta
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.demo.responses import IdpKey
from bridge.generate.envoy import envoy
from bridge.generate.plan import Plan
from bridge.settings.addresses import Address, Upstream
from bridge.settings.forwarding import Forwarding
from tests.generate.plans import LIMITS, PLAN, laid_open, said
from tests.real.engines.envoy import ALONE
from tests.real.engines.wheels import program

HOSTILE = yaml.safe_load((Path(__file__).parent / "hostile_values.yaml").read_text(encoding="utf-8"))


@cache
def document(plan: Plan) -> Any:
    return yaml.safe_load(envoy(plan))


def manager(plan: Plan) -> Any:
    [listener] = document(plan)["static_resources"]["listeners"]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def filters(plan: Plan) -> dict[str, Any]:
    return {each["name"]: each["typed_config"] for each in manager(plan)["http_filters"]}


def cluster(plan: Plan, name: str) -> Any:
    return next(each for each in document(plan)["static_resources"]["clusters"] if each["name"] == name)


def removed(name: str) -> bool:
    """Whether a client's header is gone before the bridge is asked."""
    name = name.lower()
    for mutation in filters(PLAN)["bridge.strip"]["mutations"]["request_mutations"]:
        matcher = mutation.get("remove_on_match", {}).get("key_matcher", {})
        pattern = matcher.get("safe_regex", {}).get("regex")
        prefix = matcher.get("prefix")
        if mutation.get("remove") == name or (prefix and name.startswith(prefix)):
            return True
        if pattern and re.fullmatch(pattern, name):
            return True
    return False


def test_the_filters_stand_in_the_order_in_which_they_are_safe() -> None:
    assert list(filters(PLAN)) == [
        "bridge.strip",
        "bridge.origin",
        "bridge.cookies",
        "bridge.ask",
        "bridge.answers",
        "envoy.filters.http.router",
    ]


def test_a_path_is_left_as_it_is() -> None:
    found = manager(PLAN)
    assert (found["normalize_path"], found["merge_slashes"]) == (False, False)
    assert found["path_with_escaped_slashes_action"] == "KEEP_UNCHANGED"


def test_no_answer_is_no_leave() -> None:
    assert filters(PLAN)["bridge.ask"]["failure_mode_allow"] is False


def test_the_bridge_alone_fills_in_every_identity_header() -> None:
    service = filters(PLAN)["bridge.ask"]["http_service"]
    allowed = [each["exact"] for each in service["authorization_response"]["allowed_upstream_headers"]["patterns"]]
    assert set(allowed) == {"cookie", "bridge-whose", *(name.lower() for name in PLAN.identity)}


def test_what_no_client_may_say_is_removed() -> None:
    names = [*PLAN.identity, *PLAN.removed, "X-Kombo-Anything", "X-Forwarded-Anything", "Bridge-Whose", "Expect"]
    assert [name for name in names if not removed(name)] == []


def test_what_only_resembles_it_is_removed_too() -> None:
    names = [
        "X_Original_URL",
        "x.rewrite.url",
        "X-HTTP_Method-Override",
        "x_forwarded_path",
        "Transfer_Encoding",
        "X_Real_IP",
    ]
    assert [name for name in names if not removed(name)] == []


def test_what_could_be_read_as_identity_is_left_to_the_bridge_to_refuse() -> None:
    assert [name for name in ("X_Kombo_User", "X.Remote.User") if removed(name)] == []


def test_everything_else_is_kept() -> None:
    names = ["Accept", "Authorization", "Content-Length", "Content-Type", "Cookie", "Host", "Origin", "Referer"]
    names += ["Sec-Fetch-Dest", "Transfer-Encoding", "Upgrade", "X-Requested-With", "X-Request-Id", "api_key"]
    assert [name for name in names if removed(name)] == []


def routes(plan: Plan) -> list[Any]:
    [host] = manager(plan)["route_config"]["virtual_hosts"]
    return list(host["routes"])


def test_what_is_the_bridges_goes_to_it_as_it_came() -> None:
    own, exact, door, platform = routes(replace(PLAN, doors=("/Shibboleth.sso/SAML2/POST",)))
    assert own["match"] == {"prefix": "/_bridge/"}
    assert door["match"] == {"path": "/Shibboleth.sso/SAML2/POST"}
    assert exact["match"] == {"path": "/_bridge"}
    for route in (own, exact, door):
        assert route["route"]["cluster"] == "bridge"
        off = {name for name, each in route["typed_per_filter_config"].items() if each["disabled"]}
        assert off == {"bridge.strip", "bridge.ask", "bridge.answers"}
    assert platform["route"]["cluster"] == "platform"
    assert "typed_per_filter_config" not in platform


def test_only_trusted_proxies_say_where_a_client_is() -> None:
    assert "original_ip_detection_extensions" not in manager(PLAN)
    assert manager(PLAN)["use_remote_address"] is True
    trusting = manager(replace(PLAN, trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8"))))
    assert trusting["use_remote_address"] is False
    [extension] = trusting["original_ip_detection_extensions"]
    assert extension["typed_config"]["xff_trusted_cidrs"]["cidrs"] == [
        {"address_prefix": "10.0.0.0", "prefix_len": 8},
        {"address_prefix": "fd00::", "prefix_len": 8},
    ]


def test_the_limits_are_those_of_the_settings() -> None:
    more = {"upstream_keep_alive": timedelta(days=30), "connections": 7, "upstream_connections": 8, "head_fields": 50}
    limits = LIMITS.model_copy(update=more | {"head_bytes": 20 * 1000})
    plan = replace(PLAN, limits=limits)
    found = manager(plan)
    assert (found["request_headers_timeout"], found["stream_idle_timeout"]) == ("7s", "600s")
    assert found["max_request_headers_kb"] == 20
    assert found["common_http_protocol_options"]["idle_timeout"] == "50s"
    assert found["common_http_protocol_options"]["max_headers_count"] == 50
    [monitor] = document(plan)["overload_manager"]["resource_monitors"]
    assert monitor["typed_config"]["max_active_downstream_connections"] == 7
    platform = cluster(plan, "platform")
    assert platform["connect_timeout"] == "2s"
    assert set(platform["circuit_breakers"]["thresholds"][0].values()) == {8}
    [options] = platform["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"]["idle_timeout"] == "2592000s"
    [options] = cluster(PLAN, "bridge")["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"]["idle_timeout"] == "37.5s"
    assert all(route["route"]["timeout"] == "0s" for route in routes(plan))


def test_a_secure_platform_is_verified() -> None:
    plan = replace(PLAN, upstream=Upstream("https", "platform.example.com", 443))
    context = cluster(plan, "platform")["transport_socket"]["typed_config"]
    validation = context["common_tls_context"]["validation_context"]
    assert context["sni"] == "platform.example.com"
    assert validation["trusted_ca"]["filename"]
    assert validation["match_typed_subject_alt_names"] == [
        {"san_type": "DNS", "matcher": {"exact": "platform.example.com"}}
    ]


def test_a_secure_platform_by_its_address() -> None:
    plan = replace(
        PLAN, upstream=Upstream("https", "10.0.0.1", 443), limits=Forwarding(upstream_ca=Path("/etc/own-ca.pem"))
    )
    context = cluster(plan, "platform")["transport_socket"]["typed_config"]
    validation = context["common_tls_context"]["validation_context"]
    assert "sni" not in context
    assert validation["trusted_ca"]["filename"] == "/etc/own-ca.pem"
    assert validation["match_typed_subject_alt_names"] == [{"san_type": "IP_ADDRESS", "matcher": {"exact": "10.0.0.1"}}]


def exposed(value: str) -> Plan:
    return laid_open(value, upstream=Upstream("unix", path=f"/run/{value}"))


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_never_more_than_a_value(value: str) -> None:
    assert document(exposed(value)) == said(document(exposed("MARK")), value)
    text = envoy(exposed(value))
    assert text.isascii()
    assert len(text.splitlines()) == len(envoy(exposed("MARK")).splitlines())


def test_a_name_of_ours_by_its_address_in_any_family() -> None:
    plan = replace(PLAN, listen=Address("::", 443), upstream=Upstream("http", "::1", 9000))
    [listener] = document(plan)["static_resources"]["listeners"]
    assert listener["address"]["socket_address"]["address"] == "::"
    assert cluster(plan, "platform")["type"] == "STATIC"
    assert cluster(replace(PLAN, upstream=Upstream("http", "platform", 80)), "platform")["type"] == "STRICT_DNS"


def validated(plan: Plan, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "envoy.yaml").write_text(envoy(plan))
    command = [program("envoy"), "--mode", "validate", "-c", "envoy.yaml", *ALONE]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("plan", [
    PLAN,
    replace(PLAN, upstream=Upstream("https", "platform.example.com", 443), doors=("/a \"b", "/c")),
    replace(PLAN, trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1/128")), listen=Address("::1", 18001)),
    replace(PLAN, limits=Forwarding(idle=timedelta(days=3650), keep_alive=timedelta(days=3650))),
    replace(PLAN, upstream=Upstream("unix", path="".join(value for value in HOSTILE if len(value) < 7))),
], ids=["plain", "https", "trusting", "patient", "unix"])  # fmt: skip
def test_envoy_takes_it(plan: Plan, tmp_path: Path) -> None:
    done = validated(plan, tmp_path)
    assert done.returncode == 0, done.stderr


def test_envoy_takes_it_with_a_certificate(tmp_path: Path) -> None:
    pair = IdpKey.generate("learn.example.com")
    certificate, key = tmp_path / 'a "certificate".pem', tmp_path / "key.pem"
    certificate.write_text(pair.certificate_pem)
    key.write_bytes(pair.private_pem)
    done = validated(replace(PLAN, certificate=certificate, key=key), tmp_path)
    assert done.returncode == 0, done.stderr
