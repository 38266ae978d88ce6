"""Which addresses metadata may be fetched from.

Whoever writes a tenant's file, or runs the DNS of a host that stands in it, must not be able to make the bridge speak
to machines that only the bridge can reach. Public unicast is all that is allowed; what the operator trusts beyond that
stands in `metadata_networks`.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IPV4_SPECIAL = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
"""IANA's special-purpose registry (RFC 6890 and its updates) with multicast and the reserved rest.

A list of our own, because what Python calls global differs between its releases.
"""

_IPV6_GLOBAL = IPv6Network("2000::/3")
"""All that IANA has given out. Loopback, link-local, unique local, mapped IPv4, NAT64 and multicast lie outside."""

_IPV6_SPECIAL = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address of anybody's choice stands in it
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)


def numeric(text: str) -> Address:
    """An address as the resolver writes it; raises `ValueError` for anything else, one with a scope included."""
    if "%" in text:
        raise ValueError("an address with a scope is of this link only")
    return ip_address(text)


def is_public(address: Address) -> bool:
    """Whether an address is public unicast, and says so in one way only (no IPv4 address inside an IPv6 one)."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _IPV4_SPECIAL)
    if address not in _IPV6_GLOBAL or any(address in network for network in _IPV6_SPECIAL):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP


def is_allowed(address: Address, networks: Collection[Network]) -> bool:
    """Whether metadata may be fetched from there; `networks` are `metadata_networks`."""
    return is_public(address) or any(address in network for network in networks)


def shown(address: Address) -> str:
    """An address as the network that would allow it is written."""
    return str(ip_network(address))
