"""Hosts and ports, read and written in one way."""

from __future__ import annotations

import re
from ipaddress import ip_address

DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_HOST_PORT = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")


def is_loopback(host: str) -> bool:
    """Whether a host never leaves this machine. `*.localhost` counts: RFC 6761 section 6.3, and browsers keep to it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def host_and_port(text: str) -> tuple[str, int | None]:
    """Split `host[:port]`; the host in lower case, without the brackets of IPv6. Raises `ValueError`.

    A name whose last label is a number must be a dotted-quad address: URL parsers read `127.1` and `0x7f.1` as
    addresses (WHATWG URL, "ends in a number"), others as names.
    """
    match = _HOST_PORT.fullmatch(text.lower())
    port = int(match["port"]) if match and match["port"] else None
    if not match or (port or 0) > 65535:
        raise ValueError("not host[:port]")
    if match["v6"]:
        return str(ip_address(match["v6"])), port
    name = match["name"]
    labels = name.split(".")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        return str(ip_address(name)), port
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("not a host name")
    return name, port


def authority(host: str, port: int | None, scheme: str = "") -> str:
    """What a Host header says: brackets around IPv6, and no port that is the scheme's default."""
    name = f"[{host}]" if ":" in host else host
    return name if port in (None, DEFAULT_PORTS.get(scheme)) else f"{name}:{port}"
