"""Under which names the admin page may be asked for.

A page of some other site can have its own name lead to a loopback address (DNS rebinding), and could then read whatever
that address answers to the admin's browser. The browser still says that name in `Host`, so only names that are known to
lead here are answered. Whoever names the address by which it reached us has not been led by any name.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.hosts import host_and_port, is_address, is_loopback


class Hosts:
    """`named` are those of `internal_hosts`, each with a port or for any; `own` is the host of `internal_listen`."""

    def __init__(self, named: Iterable[str], own: str) -> None:
        self._named = {host_and_port(host) for host in named}
        if not (is_address(own) and ip_address(own).is_unspecified):
            self._named.add((own, None))

    def check(self, head: Head, scope: Scope) -> None:
        """Raises `Refusal` (421) for any other host, and where there is none or more than one."""
        said = head.fields.get(b"host", ())
        try:
            host, port = host_and_port(said[0].decode("ascii")) if len(said) == 1 else ("", None)
        except ValueError:
            host, port = "", None
        if not host or not (self._knows(host, port) or _reached(scope, host)):
            raise Refusal(Code.HOST_UNKNOWN, "name the host under `internal_hosts` in bridge.yaml")

    def _knows(self, host: str, port: int | None) -> bool:
        return is_loopback(host) or (host, None) in self._named or (host, port) in self._named


def _reached(scope: Scope, host: str) -> bool:
    """Whether the host is the very address that the connection was made to."""
    server = scope.get("server")
    if not server or not (is_address(host) and is_address(server[0])):
        return False
    return ip_address(host) == _plain(server[0])


def _plain(host: str) -> IPv4Address | IPv6Address:
    """An IPv4 address as such, where a socket for both kinds has it in IPv6's spelling."""
    address = ip_address(host)
    return getattr(address, "ipv4_mapped", None) or address
