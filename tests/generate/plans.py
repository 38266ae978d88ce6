"""A plan to change in one place or another."""

from __future__ import annotations

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
