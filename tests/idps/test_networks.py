"""Where the bridge may be sent, and where not: each spelling stands in `networks.yaml`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.idps.fetch import Fetcher, FetchError
from bridge.idps.networks import is_allowed, is_public, numeric

CASES: dict[str, list[Any]] = yaml.safe_load((Path(__file__).parent / "networks.yaml").read_text())


@pytest.mark.parametrize("address", CASES["refused"])
async def test_a_host_with_such_an_address_is_not_connected_to(address: str) -> None:
    with pytest.raises(FetchError, match=r"not public|scope"):
        await fetch("https://idp.test/metadata", [address])


@pytest.mark.parametrize("address", CASES["allowed"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(numeric(address))


@pytest.mark.parametrize("host", CASES["spelt"])
async def test_no_spelling_of_an_address_leads_inside(host: str) -> None:
    fetcher = Fetcher()
    with pytest.raises(FetchError, match=r"not public|not a URL|plain http|cannot be resolved"):
        await fetcher.fetch(f"https://{host}/metadata")
    fetcher.close()


@pytest.mark.parametrize("answer", CASES["answers"], ids=str)
async def test_one_address_that_is_not_allowed_spoils_the_others(answer: list[str]) -> None:
    with pytest.raises(FetchError, match=r"not public|cannot be resolved|addresses"):
        await fetch("https://idp.test/metadata", answer)


async def fetch(url: str, addresses: list[str]) -> None:
    fetcher = Fetcher(resolve=lambda _host, _port: addresses)
    try:
        await fetcher.fetch(url)
    finally:
        fetcher.close()


def test_what_python_calls_private_is_never_public() -> None:
    """A list of our own can have holes; so could theirs, but hardly the same."""
    blocks = [
        f"{a}.{b}.{c}.9"
        for a in range(256)
        for b in (0, 2, 16, 18, 31, 51, 64, 88, 100, 113, 168, 254, 255)
        for c in (0, 2, 99, 100, 113)
    ]
    blocks += [f"{head:x}{rest}" for head in range(0, 0x10000, 7) for rest in ("::1", ":db8::1", ":4f:8000::1")]
    for text in blocks:
        address = ip_address(text)
        if address.is_private or address.is_multicast or address.is_reserved or address.is_unspecified:
            assert not is_public(address), text


def test_networks_of_ones_own_are_allowed_as_they_are_written() -> None:
    own = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/64")]
    assert is_allowed(numeric("10.1.2.3"), own)
    assert is_allowed(numeric("fd00:1::5"), own)
    assert not is_allowed(numeric("10.2.0.1"), own)
    assert not is_allowed(numeric("::ffff:10.1.2.3"), own)
    assert not is_allowed(numeric("fd00:2::5"), own)
    with pytest.raises(ValueError, match="scope"):
        numeric("fd00:1::5%eth0")
