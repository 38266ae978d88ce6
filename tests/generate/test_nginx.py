"""The configuration as text and as nginx reads it. What it does with requests is in tests/real/test_engines.py."""

from __future__ import annotations

import contextlib
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from bridge.front.classes import path_classes
from bridge.front.forward_auth import KEPT_SECONDS
from bridge.generate.nginx import nginx
from bridge.generate.plan import Plan, Unwritable
from bridge.settings.addresses import Address, Upstream
from bridge.settings.forwarding import Forwarding
from bridge.settings.routes import CompletionRule, Route
from tests.front.test_classes import class_of
from tests.generate.plans import PLAN
from tests.real.engines.nginx import start, written
from tests.support.certificates import certificate
from tests.support.processes import free_port

HOSTILE = yaml.safe_load((Path(__file__).parent / "hostile_values.yaml").read_text(encoding="utf-8"))
TARGETS = yaml.safe_load((Path(__file__).parents[1] / "real" / "engines" / "targets.yaml").read_text())
TABLES = yaml.safe_load((Path(__file__).parents[1] / "hostile" / "paths.yaml").read_text(encoding="utf-8"))
ROUTES = tuple(Route(**route) for route in TABLES[0]["routes"])
COMPLETIONS = tuple(CompletionRule(**rule) for rule in TABLES[0]["completions"])
CLASSES = path_classes(ROUTES, COMPLETIONS, ["/saml/acs"])
SECURE = Upstream("https", "platform.example.com", 443)


def check(text: str, folder: Path) -> str:
    """What `nginx -t` says of it; a warning is a mistake of ours."""
    done = subprocess.run([*written(text, folder), "-t"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return "".join(line for line in done.stderr.splitlines(keepends=True) if "[warn]" in line and "user" not in line)


def here(folder: Path, **changes: object) -> Plan:
    return replace(PLAN, **{"classes": CLASSES, "cache_folder": folder / "answers"} | changes)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"{'x' * 60}.{'y' * 60}.tenant-{number}.example.com" for number in range(count))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"upstream": Upstream("unix", path="/run/the platform/socket")},
        {"upstream": Upstream("http", "::1", 9000), "listen": Address("::1", 18080)},
        {"trusted_proxies": (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))},
        {"hosts": ("learn.example.com", *names(1))},
        {"hosts": names(2_000)},
        {"hosts": ("127.0.0.1:8000", "[::1]:8000", "localhost:8000")},
        {"doors": ("/Shibboleth.sso/SAML2/POST", "/a$b")},
        {"identity": (*PLAN.identity, "Authorization", "X-Real-IP", "x-client-ip", "X" * 64)},
        {"limits": Forwarding(target_bytes=1024, head_bytes=1024)},
        {"limits": Forwarding(target_bytes=1024 * 1024, head_bytes=1024 * 1024)},
        {"tenant_parameter": "a.b-c_d"},
        {"classes": ()},
    ],
    ids=lambda changes: ",".join(changes) or "plain",
)
def test_nginx_takes_it(changes: dict[str, object], tmp_path: Path) -> None:
    assert check(nginx(here(tmp_path, **changes)), tmp_path) == ""


def test_nginx_takes_a_secure_platform(tmp_path: Path) -> None:
    (tmp_path / "own ca.pem").write_text(certificate(datetime.now(UTC) + timedelta(days=9)))
    limits = Forwarding(upstream_ca=tmp_path / "own ca.pem", upstream_name="platform.internal")
    text = nginx(here(tmp_path, upstream=Upstream("https", "10.1.2.3", 8443), limits=limits))
    assert check(text, tmp_path) == ""
    for line in ("proxy_ssl_verify on;", "proxy_ssl_name platform.internal;", "proxy_pass https://$kombo_to;"):
        assert line in text
    assert "proxy_ssl_name platform.example.com;" in nginx(here(tmp_path, upstream=SECURE))


def test_an_address_is_no_name_to_verify(tmp_path: Path) -> None:
    with pytest.raises(Unwritable, match="upstream_name"):
        nginx(here(tmp_path, upstream=Upstream("https", "10.1.2.3", 443)))


def test_a_header_is_written_once(tmp_path: Path) -> None:
    """Two `proxy_set_header` of one name would both be sent."""
    plan = here(tmp_path, identity=(*PLAN.identity, "X-Real-IP", "x-client-ip", "PROXY"))
    for location in re.findall(r"(?ms)^    location .*?^    \}", nginx(plan)):
        set_ = [name.lower() for name in re.findall(r"proxy_set_header (\S+) ", location)]
        assert len(set_) == len(set(set_))
    assert "proxy_set_header X-Real-IP $kombo_said_12;" in nginx(plan)


def test_the_platforms_location_blanks_and_sets_everything() -> None:
    [location] = re.findall(r"(?ms)^    location / \{.*?^    \}", nginx(PLAN))
    for number, name in enumerate(PLAN.identity, 1):
        assert f"proxy_set_header {name} $kombo_said_{number};" in location
        answer = name.lower().replace("-", "_")
        assert f"auth_request_set $kombo_said_{number} $upstream_http_{answer};" in location
    for name in PLAN.removed:
        assert f'proxy_set_header {name} "";' in location
    for name in PLAN.answers_removed:
        assert f"proxy_hide_header {name};" in location


def test_nothing_is_blanked_on_the_way_to_the_bridge() -> None:
    places = [
        place for place in re.findall(r"(?ms)^    location .*?^    \}", nginx(PLAN)) if "http://kombo_bridge;" in place
    ]
    assert len(places) == 3
    assert not any("kombo-" in place.lower().replace("kombo_", "") or "auth_request" in place for place in places)


def test_an_answer_is_kept_for_as_long_as_its_comment_says() -> None:
    text = nginx(PLAN)
    assert f"kept for up to {KEPT_SECONDS} s" in text
    assert "up to 20 s in all" in text
    assert re.search(r"remove the line `proxy_cache kombo_answers;`", text)
    assert "\n        proxy_cache kombo_answers;\n" in text
    assert "proxy_cache_use_stale off;" in text
    assert "proxy_cache_valid" not in text


@pytest.mark.parametrize("value", HOSTILE)
def test_nothing_breaks_out_of_a_path(value: str, tmp_path: Path) -> None:
    """A value is written as one word of nginx's, or not at all."""
    for plan in (
        here(tmp_path, upstream=Upstream("unix", path=f"/run/{value}")),
        here(tmp_path, certificate=Path(f"/etc/{value}.pem"), key=Path(f"/etc/{value}.key")),
        here(tmp_path, upstream=SECURE, limits=Forwarding(upstream_ca=Path(f"/etc/{value}"))),
        replace(here(tmp_path), cache_folder=Path(f"/run/{value}")),
    ):
        try:
            text = nginx(plan)
        except Unwritable:
            continue
        assert value.isascii() and value.isprintable() and not set(value) & set('"$\\')
        assert re.findall(rf'"[^"\n]*{re.escape(value)}[^"\n]*"|[A-Za-z0-9_.:/\[\]-]*{re.escape(value)}', text)
        bare = nginx(
            here(tmp_path, upstream=plan.upstream, certificate=plan.certificate, key=plan.key, limits=plan.limits)
        )
        assert text.count("\n") == bare.count("\n")


@pytest.mark.parametrize("value", [value for value in HOSTILE if value not in ("plain", "null", "true", "0x10", "end")])
def test_nothing_breaks_out_of_a_name(value: str, tmp_path: Path) -> None:
    for plan in (
        here(tmp_path, hosts=(value,)),
        here(tmp_path, hosts=(f"{value}:80",)),
        here(tmp_path, identity=(value,)),
        here(tmp_path, removed=(value,)),
        here(tmp_path, answers_removed=(value,)),
        here(tmp_path, doors=(value,)),
        here(tmp_path, tenant_parameter=value),
        here(tmp_path, upstream=SECURE, limits=Forwarding.model_construct(**dict(Forwarding(), upstream_name=value))),
    ):
        with contextlib.suppress(Unwritable):
            check(nginx(replace(plan, upstream=PLAN.upstream)), tmp_path)


def test_nginx_puts_targets_into_the_classes_that_the_bridge_has(tmp_path: Path) -> None:
    port, asked = free_port(), free_port()
    text = nginx(here(tmp_path, listen=Address("127.0.0.1", port)))
    text += f"server {{ listen 127.0.0.1:{asked}; location / {{ return 200 '$kombo_by_itself $kombo_asked'; }} }}"
    targets = {*TARGETS, *(case["path"] for case in TABLES[0]["paths"] if "path" in case), "/saml/acs", "/saml/acs/"}
    targets |= {f"{target}?tenant=x" for target in TARGETS} | {f"{target}?x=tenant;y" for target in ("/my", "/a%62")}
    known = 0
    with start(text, tmp_path, port):
        for target in targets:
            sent = quote(target, safe="/?#[]@!$&'()*+,;=%:{}~\\")
            status, told = get(asked, sent)
            if status == 400:  # nginx refuses it, whatever it is asked for
                continue
            found = class_of(CLASSES, sent)
            key = sent if found is None else f"={found[0]}/{found[1]}" if found[1] else f"={found[0]}"
            by_itself = "1" if "tenant" in sent.partition("?")[2] or len(sent) >= 1000 else ""
            assert told == f"{by_itself} {key}"
            known += found is not None
    assert known > 50


def test_only_what_is_short_is_kept(tmp_path: Path) -> None:
    """Anybody can have answers of public paths kept, each under a key of its own."""
    port, asked = free_port(), free_port()
    text = nginx(here(tmp_path, listen=Address("127.0.0.1", port)))
    text += f"server {{ listen 127.0.0.1:{asked}; location / {{ return 200 '[$kombo_by_itself$kombo_long]'; }} }}"
    ours, others = "kombo-bridge-session=x; a=", "a="
    cases = [
        ("/my", f"{ours}{'x' * 2_900}", ""),
        ("/my", f"{ours}{'x' * 3_000}", "1"),
        ("/my", f"{others}{'x' * 3_000}", "1"),
        (f"/static/%61{'a' * 900}", others, ""),
        (f"/static/%61{'a' * 1_000}", others, "1"),
        (f"/static/%61{'a' * 900}", f"{ours}{'x' * 2_900}", ""),
    ]
    with start(text, tmp_path, port):
        for target, cookie, long in cases:
            assert get(asked, target, cookie) == (200, f"[{long}]")


def test_no_pattern_is_sought_from_every_place_of_what_a_client_sends(tmp_path: Path) -> None:
    """One that may begin anywhere and repeats something takes the square of the length to fail."""
    patterns = re.findall(r'^ +"~\*?(.*?)" ', nginx(here(tmp_path)), re.MULTILINE)
    assert len(patterns) > 15
    assert [pattern for pattern in patterns if pattern[0] != "^" and not re.fullmatch(r"[a-z:-]+", pattern)] == []


def get(port: int, target: str, cookie: str = "") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.putrequest("GET", target)
        connection.putheader("Cookie", cookie)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
