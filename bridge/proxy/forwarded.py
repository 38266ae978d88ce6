"""Where a request came from, as the platform is told: `X-Forwarded-*`, `Forwarded` (RFC 7239) and `X-Real-IP`.

What a peer outside `trusted_proxies` says about it is replaced. A trusted peer is believed about the client and the
scheme, never about the host: the host is what the bridge decided on.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from bridge.exchange import Head, Header

_REMEMBERED = 4096
_LONGEST = 64  # of an address with the name of a zone


class Forwarding:
    """`scheme` is that of the public URL: whoever ends TLS in front of the bridge need not be trusted to say so."""

    def __init__(self, trusted: Iterable[IPv4Network | IPv6Network], scheme: str) -> None:
        self._trusted = tuple(trusted)
        self._scheme = scheme.encode("ascii")
        self._known: dict[str, bool] = {}
        self._blocks: dict[tuple[str, bytes, bool], bytes] = {}

    def trusts(self, peer: str) -> bool:
        """Whether an address is one of `trusted_proxies`."""
        if not self._trusted:
            return False
        known = self._known.get(peer)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[peer] = self._within(peer)
        return known

    def _within(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._trusted)

    def client(self, head: Head) -> str:
        """The address of the client: the last one that a trusted proxy saw and that is not a trusted proxy itself."""
        client = head.peer
        if not self.trusts(client):
            return client
        hops = b",".join(head.fields.get(b"x-forwarded-for", ())).decode("latin-1").split(",")
        while hops and self.trusts(client):
            hop = hops.pop().strip(" \t")
            if _address(hop) is None:
                break
            client = hop
        return client

    def block(self, head: Head, host: bytes, said: list[Header]) -> bytes:
        """The header lines for the platform. `said` is what the client's own headers of this kind say."""
        if said and self.trusts(head.peer):
            return self._appended(head, host, said)
        key = (head.peer, host, head.secure)
        block = self._blocks.get(key)
        if block is None:
            if len(self._blocks) >= _REMEMBERED:
                self._blocks.clear()
            proto = b"https" if head.secure else self._scheme
            block = self._blocks[key] = _render([], [], head.peer, head.peer, proto, host)
        return block

    def _appended(self, head: Head, host: bytes, said: list[Header]) -> bytes:
        by_name: dict[bytes, list[bytes]] = {}
        for name, value in said:
            by_name.setdefault(name.lower(), []).append(value)
        proto = b",".join(by_name.pop(b"x-forwarded-proto", [])).strip(b" \t").lower()
        if proto not in (b"http", b"https"):
            proto = b"https" if head.secure else self._scheme
        hops, elements = by_name.pop(b"x-forwarded-for", []), by_name.pop(b"forwarded", [])
        ours = _render(hops, elements, head.peer, self.client(head), proto, host)
        return ours + b"".join(
            b"%b: %b\r\n" % (name, value)
            for name, value in said
            if name.lower() in by_name and name.lower() not in (b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip")
        )


def _render(hops: list[bytes], elements: list[bytes], peer: str, client: str, proto: bytes, host: bytes) -> bytes:
    raw = peer.encode("ascii", "replace") or b"unknown"
    port = host.rpartition(b":")[2] if b":" in host and not host.endswith(b"]") else b""
    node = b'"[%b]"' % raw if b":" in raw else raw
    element = b'for=%b;host="%b";proto=%b' % (node, host, proto)
    return (
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Port: %b\r\n"
        b"X-Real-IP: %b\r\nForwarded: %b\r\n"
    ) % (
        b", ".join([*hops, raw]),
        proto,
        host,
        port or (b"443" if proto == b"https" else b"80"),
        client.encode("ascii", "replace") or b"unknown",
        b", ".join([*elements, element]),
    )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    return _read(text) if len(text) <= _LONGEST else None


@lru_cache(_REMEMBERED)
def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
