"""What every generated configuration is made of, whatever the engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from bridge.errors import BridgeError
from bridge.front.classes import PathClass
from bridge.front.rules import classes, doors
from bridge.hosts import DEFAULT_PORTS
from bridge.proxy import request
from bridge.proxy.names import removed_names
from bridge.settings.addresses import Address, Upstream
from bridge.settings.forwarding import Forwarding
from bridge.settings.model import Configuration
from bridge.stamp.headers import NAMES

WRITTEN = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "Forwarded")
"""Where a request came from. A client's own are never passed on: an engine writes each itself, or blanks it."""
BODILESS = tuple(method.decode() for method in request.BODILESS)
"""As `bridge.proxy.request` has them."""
INSIDE_IDLE = timedelta(seconds=60)
"""How long an unused connection to the internal listener is kept, which keeps it for longer (`bridge.proxy.server`)."""
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Where Debian, Ubuntu and Alpine keep the system's authorities, for engines that have to be told."""
CACHE_FOLDER = Path("/run/kombo-bridge-answers")

_SAID_BY_THE_PLATFORM = ("X-Kombo-Complete", "X-Kombo-Score")
_SAID_BY_KOMBO = ("X-Kombo-Signature",)
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not bound


class Unwritable(BridgeError):
    """Settings that cannot be said in an engine's own language, or that the engine cannot do."""


@dataclass(frozen=True)
class Plan:
    """All names of headers are spelt with letters, digits and `-`, and are distinct without case.

    `listen` is where the engine listens; with a `certificate` and its `key` (PEM files) it speaks TLS there. `scheme`
    is that of the public URL, which is what the platform is told. `hosts` are all of ours, as Host headers say them.
    `bridge` and `inside` are the bridge's public and internal listeners as the engine reaches them. `doors` are the
    paths outside `/_bridge/` that the public listener answers: the ACS of older service providers.

    `identity` are the headers that the bridge writes. `removed` are all others of a client's that must not reach the
    platform, but for those of `WRITTEN`; `answers_removed` are the platform's that must not reach the client.

    For engines that keep answers: `classes` tell paths apart by what is decided about them, `tenant_parameter` in a
    query makes an answer that is nobody else's, and `cache_folder` is where answers lie.
    """

    listen: Address
    certificate: Path | None
    key: Path | None
    scheme: str
    hosts: tuple[str, ...]
    bridge: Address
    inside: Address
    upstream: Upstream
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    identity: tuple[str, ...]
    removed: tuple[str, ...]
    answers_removed: tuple[str, ...]
    classes: tuple[PathClass, ...]
    tenant_parameter: str
    limits: Forwarding
    cache_folder: Path = CACHE_FOLDER
    doors: tuple[str, ...] = ()


def plan(
    configuration: Configuration,
    *,
    listen: Address | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    cache_folder: Path = CACHE_FOLDER,
) -> Plan:
    """For the settings in force. Raises `Unwritable` where an engine could not reach the bridge by them."""
    service = configuration.service
    scheme, _, public = service.public_url.partition("://")
    listen = listen or Address("0.0.0.0", DEFAULT_PORTS["https" if certificate else "http"])  # noqa: S104  # as intended
    if _clashes(listen, service.listen) or _clashes(listen, service.internal_listen):
        raise Unwritable(f"the bridge itself listens on {listen}: let the engine listen elsewhere (--listen)")
    identity = (*NAMES, *service.headers)
    removed = [*_SAID_BY_THE_PLATFORM, *_SAID_BY_KOMBO, *sorted(removed_names())]
    kept = {name.lower() for name in (*identity, *WRITTEN)}
    return Plan(
        listen=listen,
        certificate=certificate,
        key=key,
        scheme=scheme,
        hosts=tuple(dict.fromkeys((public, *configuration.by_host))),
        bridge=_reached(service.listen, "listen"),
        inside=_reached(service.internal_listen, "internal_listen"),
        upstream=service.upstream,
        trusted_proxies=service.trusted_proxies,
        identity=identity,
        removed=tuple(name for name in removed if name.lower() not in kept),
        answers_removed=(*NAMES, *_SAID_BY_THE_PLATFORM),
        classes=classes(configuration),
        tenant_parameter=service.tenant_parameter,
        limits=service.forwarding,
        cache_folder=cache_folder,
        doors=doors(configuration),
    )


def in_seconds(length: timedelta) -> str:
    """As engines read durations: `37.5s`, and never with an exponent."""
    return f"{length.total_seconds():.3f}".rstrip("0").rstrip(".") + "s"


def _clashes(one: Address, other: Address) -> bool:
    return one.port == other.port and (one.host == other.host or not {one.host, other.host}.isdisjoint(_EVERYWHERE))


def _reached(address: Address, setting: str) -> Address:
    """Where to connect to what listens there, on this machine if it listens everywhere."""
    if not address.port:
        raise Unwritable(f"`{setting}` leaves the port to the system, so that no engine could find it: write one")
    return Address(_EVERYWHERE.get(address.host, address.host), address.port)
