"""A plan to change in one place or another, and limits of which none is the default."""

from __future__ import annotations

from datetime import timedelta

from bridge.generate.plan import WRITTEN, Plan
from bridge.proxy.names import removed_names
from bridge.settings.addresses import Address, Upstream
from bridge.settings.model import Forwarding
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
