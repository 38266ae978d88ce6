"""What happens to headers, by name and by value."""

from __future__ import annotations

import re
import time
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from bridge.exchange import Forward, Head
from bridge.proxy.caching import private
from bridge.proxy.cookies import cookie_line, own_cookies, sets_own, without_own
from bridge.proxy.headers import HeaderPolicy
from bridge.proxy.names import RequestNames

from .conftest import IDENTITY, OK, Bridge, Platform, Start

CASES = Path(__file__).parent / "cases"
NAMES = yaml.safe_load((CASES / "headers.yaml").read_text())
COOKIES = yaml.safe_load((CASES / "cookies.yaml").read_text())
CACHING = yaml.safe_load((CASES / "caching.yaml").read_text())
POLICY = HeaderPolicy(["X-Remote-User"], (), "https://learn.example.com")


def values(head: bytes, name: bytes) -> list[bytes]:
    return re.findall(rb"(?im)^" + re.escape(name) + rb": ?(.*)\r$", head)


def answer(*lines: str, body: bytes = b"ok") -> bytes:
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


@pytest.mark.parametrize("name", NAMES["identity"] + NAMES["ambiguous"] + NAMES["dropped"])
def test_does_not_reach_the_platform(name: str) -> None:
    head = Head(b"GET", b"/", [(b"Host", b"a"), (name.encode(), b"spoofed"), (b"Accept", b"yes")])
    block = POLICY.request_block(head, IDENTITY)
    assert b"\r\nAccept: yes\r\n" in block
    assert block.endswith(IDENTITY + b"\r\n")
    assert b"spoofed" not in block


@pytest.mark.parametrize("name", NAMES["kept"])
def test_reaches_the_platform_as_it_was_sent(name: str) -> None:
    header = (name.encode(), b"bytes=0-1,\xff ~ \tx")
    block = POLICY.request_block(Head(b"GET", b"/", [(b"Host", b"a"), header, header]), IDENTITY)
    assert block.split(b"\r\n").count(b"%b: %b" % header) == 2


async def test_on_the_wire_as_well(bridge: Bridge) -> None:
    spoofed = [name for name in NAMES["identity"] + NAMES["ambiguous"] + NAMES["dropped"] if name != "Content_Length"]
    for start in range(0, len(spoofed), 60):
        lines = "".join(f"{name}: spoofed\r\n" for name in spoofed[start : start + 60])
        kept = "".join(f"{name}: \xff ~ \tx\r\n" for name in NAMES["kept"])
        sent = await bridge.forwarded(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}{kept}\r\n".encode("latin-1"))
        assert b"spoofed" not in sent
        assert b"\r\nHost: a\r\n" + kept.encode("latin-1") + b"X-Forwarded-For: " in sent
        assert sent.endswith(IDENTITY + b"\r\n")


@pytest.mark.parametrize("name", NAMES["ambiguous"])
def test_is_ambiguous(name: str) -> None:
    head = Head(b"GET", b"/", [(b"Host", b"a"), (name.encode(), b"x")])
    assert POLICY.ambiguous(head) == name


@pytest.mark.parametrize("name", NAMES["identity"] + NAMES["dropped"] + NAMES["kept"])
def test_is_not_ambiguous(name: str) -> None:
    assert POLICY.ambiguous(Head(b"GET", b"/", [(name.encode(), b"x")])) is None


def test_names_learnt_from_clients_are_bounded() -> None:
    names = RequestNames()
    for number in range(10_000):
        _ = names[b"X-%d" % number]
    _ = names[b"X-" + b"a" * 60_000]
    assert len(names) <= 2048
    assert all(len(name) <= 128 for name in names)


@pytest.mark.parametrize(
    "nominated",
    ["X-Kombo-User", "x-kombo-user, X-Kombo-Tenant", "Host", "Content-Length", "Transfer-Encoding, Content-Length"],
)
async def test_a_nominated_header_of_ours_stays(bridge: Bridge, platform: Platform, nominated: str) -> None:
    request = (
        f"POST / HTTP/1.1\r\nHost: a\r\nConnection: {nominated}\r\nX-Kombo-User: spoofed\r\nContent-Length: 1\r\n\r\nx"
    )
    sent = await bridge.forwarded(request.encode())
    assert sent.endswith(IDENTITY + b"\r\n")
    assert b"spoofed" not in sent
    assert values(sent, b"host") == [b"a"]
    assert platform.requests[0][1] == b"x"


async def test_nominated_headers_go(bridge: Bridge) -> None:
    sent = await bridge.forwarded(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-One\r\nX-One: 1\r\nCookie: b=1\r\nX-Two: 2\r\n"
        b"CONNECTION: close ,\tx-two,cookie\r\nX-Three: 3\r\n\r\n"
    )
    assert values(sent, b"x-three") == [b"3"]
    assert not any(values(sent, name) for name in (b"x-one", b"x-two", b"cookie", b"connection"))


async def test_nominating_forwarding_headers_does_not_remove_ours(start: Start, platform: Platform) -> None:
    policy = HeaderPolicy((), [ip_network("127.0.0.1/32")], "https://a")
    bridge = await start(policy=policy)
    sent = await bridge.forwarded(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    )
    assert values(sent, b"x-forwarded-for") == [b"127.0.0.1"]


async def test_what_an_untrusted_peer_says_of_the_way_is_replaced(bridge: Bridge) -> None:
    sent = await bridge.forwarded(
        b"GET / HTTP/1.1\r\nHost: a:8443\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: ftp\r\n"
        b"X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n"
        b"X-Forwarded-Server: evil\r\n\r\n"
    )
    assert values(sent, b"x-forwarded-for") == [b"127.0.0.1"]
    assert values(sent, b"x-forwarded-proto") == [b"https"]
    assert values(sent, b"x-forwarded-host") == [b"a:8443"]
    assert values(sent, b"x-forwarded-port") == [b"8443"]
    assert values(sent, b"x-real-ip") == [b"127.0.0.1"]
    assert values(sent, b"forwarded") == [b'for=127.0.0.1;host="a:8443";proto=https']
    assert values(sent, b"x-forwarded-server") == []


async def test_what_a_trusted_proxy_says_of_the_client_is_believed(start: Start) -> None:
    bridge = await start(policy=HeaderPolicy((), [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")], "http://a"))
    sent = await bridge.forwarded(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9, 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1\r\n"
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n"
        b"X-Forwarded-Uri: /other\r\nX-Forwarded-Server: lb\r\nCF-Connecting-IP: 203.0.113.9\r\n\r\n"
    )
    assert values(sent, b"x-forwarded-for") == [b"203.0.113.9, 192.0.2.1, 10.0.0.1, 127.0.0.1"]
    assert values(sent, b"x-forwarded-proto") == [b"https"]
    assert values(sent, b"x-forwarded-host") == [b"a"]
    assert values(sent, b"x-forwarded-port") == [b"443"]
    assert values(sent, b"x-forwarded-uri") == []
    assert values(sent, b"x-forwarded-server") == [b"lb"]
    assert values(sent, b"cf-connecting-ip") == [b"203.0.113.9"]
    assert values(sent, b"x-real-ip") == [b"192.0.2.1"]
    assert values(sent, b"forwarded") == [b'for=192.0.2.1, for=127.0.0.1;host="a";proto=https']


@pytest.mark.parametrize(
    ("peer", "hops", "client"),
    [
        ("192.0.2.7", ["203.0.113.1"], "192.0.2.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.1"], "203.0.113.1"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.1"], "203.0.113.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", " 10.0.0.2 "], "198.51.100.1"),
        ("10.0.0.1", ["nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("", ["203.0.113.1"], ""),
    ],
)
def test_the_client_is_whom_the_last_trusted_proxy_saw(peer: str, hops: list[str], client: str) -> None:
    policy = HeaderPolicy((), [ip_network("10.0.0.0/8")], "https://a")
    head = Head(b"GET", b"/", [(b"X-Forwarded-For", hop.encode()) for hop in hops], peer)
    assert policy.client(head) == client


def test_an_ipv6_peer_is_quoted() -> None:
    block = POLICY.request_block(Head(b"GET", b"/", [(b"Host", b"[::1]:80")], "2001:db8::1"), b"")
    assert values(block, b"forwarded") == [b'for="[2001:db8::1]";host="[::1]:80";proto=https']
    assert values(block, b"x-forwarded-port") == [b"80"]


@pytest.mark.parametrize("case", COOKIES["requests"], ids=lambda case: repr(case["cookie"]))
def test_our_cookies_are_read_and_cut_out(case: dict[str, object]) -> None:
    line = str(case["cookie"]).encode("latin-1")
    head = Head(b"GET", b"/", [(b"Host", b"a"), (b"cookie", line)])
    assert own_cookies(cookie_line(head)) == case["own"]
    passed = case["passed"]
    assert without_own(line) == (b"" if passed is None else str(passed).encode("latin-1"))
    expected = [] if passed is None else [str(passed).encode("latin-1")]
    assert re.findall(rb"(?m)^cookie: (.*)\r$", POLICY.request_block(head, b"")) == expected


def test_our_cookies_in_several_lines_are_one_request() -> None:
    lines = [(b"Cookie", b"kombo-bridge-session=x; a=1"), (b"Cookie", b"kombo-bridge-session=y")]
    assert own_cookies(cookie_line(Head(b"GET", b"/", lines))) == {}


@pytest.mark.parametrize("value", COOKIES["answers"]["dropped"])
def test_a_cookie_of_ours_is_known_in_any_spelling(value: str) -> None:
    assert sets_own(value.encode("latin-1"))


async def test_the_platform_cannot_set_our_cookies(bridge: Bridge, platform: Platform) -> None:
    dropped = [f"{name}:{value}" for value in COOKIES["answers"]["dropped"] for name in ("set-cookie", "SET-COOKIE")]
    kept = [f"Set-Cookie: {value}" for value in COOKIES["answers"]["kept"]]
    platform.answers = [answer(*dropped, *kept)]
    head, _ = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert values(head, b"set-cookie") == [value.encode("latin-1") for value in COOKIES["answers"]["kept"]]


@pytest.mark.parametrize("value", COOKIES["answers"]["kept"])
def test_other_cookies_of_the_platform_pass(value: str) -> None:
    assert not sets_own(value.encode("latin-1"))


@pytest.mark.parametrize("value", ["=", " ", "\xa0", "__Host-=", "=__Host-"])
def test_a_large_cookie_of_the_platform_costs_no_time(value: str) -> None:
    before = time.process_time()
    sets_own(value.encode("latin-1") * (60_000 // len(value)))
    assert time.process_time() - before < 0.1


@pytest.mark.parametrize(("written", "passed"), CACHING)
def test_an_answer_of_one_learner_is_private(written: str, passed: str) -> None:
    assert private(written.encode()) == passed.encode()


async def test_personal_answers_are_kept_out_of_shared_caches(bridge: Bridge, platform: Platform) -> None:
    bridge.decisions.default = Forward(IDENTITY, personal=True)
    platform.answers = [
        answer(
            "Cache-Control: public",
            "cache-control: max-age=5",
            "Surrogate-Control: max-age=9",
            "CDN-Cache-Control: max-age=9",
            "Cloudflare-CDN-Cache-Control: max-age=9",
            "X-Accel-Expires: 9",
            "Expires: Thu, 01 Dec 2094 16:00:00 GMT",
        )
    ]
    head, _ = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert values(head, b"cache-control") == [b"private, max-age=5"]
    assert len(values(head, b"expires")) == 1
    for name in (b"surrogate-control", b"cdn-cache-control", b"cloudflare-cdn-cache-control", b"x-accel-expires"):
        assert values(head, name) == []


async def test_nominating_cache_control_does_not_remove_ours(bridge: Bridge, platform: Platform) -> None:
    bridge.decisions.default = Forward(IDENTITY, personal=True)
    platform.answers = [answer("Connection: cache-control", "Cache-Control: public, max-age=5")]
    head, _ = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert values(head, b"cache-control") == [b"private, max-age=5"]


async def test_other_answers_may_be_cached(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [answer("Cache-Control: public, max-age=5", "CDN-Cache-Control: max-age=9")]
    head, _ = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert values(head, b"cache-control") == [b"public, max-age=5"]
    assert values(head, b"cdn-cache-control") == [b"max-age=9"]


async def test_answers_lose_what_is_between_the_platform_and_us(bridge: Bridge, platform: Platform) -> None:
    platform.answers = [
        answer(
            "X-Kombo-User: u",
            "x-kombo-complete: c",
            "X_Kombo_Score: 1",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Authenticate: Basic",
            "Trailer: X",
            "Upgrade: h2c",
            "Set-Cookie: a=1; Path=/",
            "Set-Cookie: a=2; Path=/",
            "x-Mixed-CASE:  as it was ",
            "X-Remote-User: kept",
        )
    ]
    head, _ = await bridge.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head == (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: a=2; Path=/\r\nx-Mixed-CASE:  as it was \r\n"
        b"X-Remote-User: kept\r\nContent-Length: 2\r\n\r\n"
    )


async def test_the_order_and_case_of_headers_hold(bridge: Bridge) -> None:
    sent = await bridge.forwarded(b"GET /%7Ea?b=%20 HTTP/1.1\r\nb: 1\r\nHOST: Learn\r\nA: 2\r\nb: 3\r\nx-Y:\r\n\r\n")
    assert sent.startswith(
        b"GET /%7Ea?b=%20 HTTP/1.1\r\nb: 1\r\nHOST: Learn\r\nA: 2\r\nb: 3\r\nx-Y: \r\nX-Forwarded-For: "
    )
    assert sent.endswith(IDENTITY + b"\r\n")


async def test_a_trailer_is_no_header(bridge: Bridge, platform: Platform) -> None:
    """llhttp reports trailers like headers. This one must appear neither here nor with the next request."""
    client = await bridge.client()
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Kombo-User\r\n\r\n"
    await client.send(
        chunked + b"1\r\na\r\n0\r\nX-Kombo-User: spoofed\r\nX-T: 1\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert (await client.message())[1] == b"ok"
    assert (await client.message())[1] == b"ok"
    assert platform.requests[0][1] == b"a"
    assert [len(values(head, b"x-kombo-user")) for head, _ in platform.requests] == [1, 1]
    assert all(values(head, b"x-t") == [] for head, _ in platform.requests)
    assert all(b"X-T" not in dict(head.headers) for head in bridge.decisions.asked)


async def test_an_identity_of_nobody_is_written_all_the_same(bridge: Bridge, platform: Platform) -> None:
    bridge.decisions.default = Forward(b"X-Kombo-User: \r\n")
    platform.answers = [OK]
    sent = await bridge.forwarded(b"GET / HTTP/1.1\r\nHost: a\r\nX-Kombo-User: spoofed\r\n\r\n")
    assert values(sent, b"x-kombo-user") == [b""]
