"""A plan to change in one place or another, limits of which none is the default, and values that mean harm."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bridge.generate.plan import WRITTEN, Plan
from bridge.proxy.names import removed_names
from bridge.settings.addresses import Address, Upstream
from bridge.settings.forwarding import Forwarding
from bridge.stamp.headers import NAMES

_KEPT = {name.lower() for name in WRITTEN}

PLAN = Plan(
    listen=Address("127.0.0.1", 18000),
    certificate=None,
    key=None,
    scheme="https",
    hosts=("learn.example.com",),
    bridge=Address("127.0.0.1", 8080),
    inside=Address("127.0.0.1", 8081),
    upstream=Upstream("http", "127.0.0.1", 9000),
    trusted_proxies=(),
    identity=(*NAMES, "X-Remote-User"),
    removed=("X-Kombo-Complete", *(name for name in sorted(removed_names()) if name not in _KEPT)),
    answers_removed=(*NAMES, "X-Kombo-Complete", "X-Kombo-Score"),
    classes=(),
    tenant_parameter="tenant",
    limits=Forwarding(),
)

LIMITS = Forwarding(
    connect=timedelta(seconds=2),
    first_byte=timedelta(seconds=3),
    idle=timedelta(minutes=10),
    head=timedelta(seconds=7),
    keep_alive=timedelta(seconds=50),
    upstream_keep_alive=timedelta(seconds=20),
    upstream_idle=9,
    shutdown=timedelta(seconds=11),
    head_bytes=20_000,
)


def laid_open(value: str, **more: Any) -> Plan:
    """A plan in which everything that is somebody's own words says `value`; `more` are further parts of it."""
    plan = replace(PLAN, certificate=Path("/etc") / value, key=Path("/etc/keys") / value, doors=(f"/{value}",))
    return replace(plan, **more)


def said(found: Any, value: str) -> Any:
    """A document that was made with `MARK` in the place of each such value, as it is to be with this one."""
    if isinstance(found, dict):
        return {key: said(each, value) for key, each in found.items()}
    if isinstance(found, list):
        return [said(each, value) for each in found]
    return found.replace("MARK", value) if isinstance(found, str) else found
