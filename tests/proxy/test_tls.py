"""TLS: to the platform, whose certificate is verified, and from clients, where it is ended at the bridge."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from bridge.settings.addresses import Upstream
from bridge.settings.files import UnusableFileError
from bridge.settings.trust import trusting
from tests.support.authority import Authority

from .conftest import Bridge, Peer, Platform, Start

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MIB = 1024 * 1024
NAME = "platform.internal"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.certificate("127.0.0.1", NAME)


async def listening(platform: Platform, certificate: Path) -> Upstream:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(platform.connected, "127.0.0.1", 0, ssl=context)
    platform.servers.append(server)
    return Upstream("https", "127.0.0.1", int(server.sockets[0].getsockname()[1]))


@pytest.fixture
async def secure(start: Start, platform: Platform, authority: Authority, certificate: Path) -> Bridge:
    """A bridge with TLS on both sides."""
    upstream = await listening(platform, certificate)
    return await start(upstream=upstream, upstream_tls=trusting(authority.pem), certificate=str(certificate))


async def connected(bridge: Bridge, authority: Authority, *, small_buffers: bool = False) -> Peer:
    sock = socket.create_connection(("127.0.0.1", bridge.port))
    if small_buffers:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    context = ssl.create_default_context(cafile=str(authority.pem))
    reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=NAME, limit=1024)
    peer = Peer(reader, writer)
    bridge.clients.append(peer)
    return peer


async def test_bodies_pass_through_tls(secure: Bridge, platform: Platform, authority: Authority) -> None:
    body = bytes(range(256)) * (2 * MIB // 256)
    platform.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)]
    client = await connected(secure, authority)
    for _ in range(2):
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        sending = asyncio.create_task(client.send(request))
        assert (await client.message())[1] == body
        await sending
    assert [sent for _, sent in platform.requests] == [body, body]
    assert platform.connections == 1
    assert secure.decisions.asked[0].secure


async def answered(
    secure: Bridge, platform: Platform, authority: Authority, asked: bytes, head: bytes
) -> tuple[Peer, Peer]:
    """Client and platform once a request has been answered by a head."""
    platform.handler = platform.by_hand
    client = await connected(secure, authority)
    await client.send(asked)
    peer = await platform.accept()
    await peer.head()
    await peer.send(head)
    await client.head()
    return client, peer


async def test_events_leave_at_once_through_tls(secure: Bridge, platform: Platform, authority: Authority) -> None:
    asked = b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    client, peer = await answered(secure, platform, authority, asked, head)
    for number in range(5):
        event = b"9\r\ndata: %d\n\n\r\n" % number
        await peer.send(event)
        assert await client.exactly(len(event)) == event  # and the next one is sent only then


async def test_a_websocket_through_tls(secure: Bridge, platform: Platform, authority: Authority) -> None:
    asked = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    head = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    client, peer = await answered(secure, platform, authority, asked, head)
    for one, other in ((client, peer), (peer, client)):
        await one.send(b"frame")
        assert await other.exactly(5) == b"frame"
    await client.send(b"bye")
    client.close()
    assert await peer.rest() == b"bye"
    await secure.settled(lambda: not secure.connections and not secure.pool._open)


async def test_a_slow_reader_slows_the_platform_through_tls(
    secure: Bridge, platform: Platform, authority: Authority
) -> None:
    platform.handler = platform.by_hand
    client = await connected(secure, authority, small_buffers=True)
    await client.send(GET)
    peer = await platform.accept()
    await peer.head()
    size = 32 * MIB
    peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    await secure.settled(lambda: any(each.read_paused for each in secure.pool._open))
    await asyncio.sleep(0.1)
    assert secure.held < 2 * MIB
    await client.head()
    for _ in range(size // MIB):
        await client.exactly(MIB)
    await secure.settled(lambda: len(secure.pool._idle) == 1)


async def test_a_request_that_no_parser_reads_through_tls(secure: Bridge, authority: Authority) -> None:
    client = await connected(secure, authority)
    await client.send(b"GET / HTTP/2.0\r\n\r\n")
    head, _ = await client.message()
    assert head.startswith(b"HTTP/1.1 400 ")


# Whom the bridge believes to be the platform


async def refused(start: Start, upstream: Upstream, tls: ssl.SSLContext, name: str | None = None) -> str:
    """The reason for which a request does not get there."""
    bridge = await start(upstream=upstream, upstream_tls=tls, upstream_name=name)
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert bridge.platform.requests == []
    return bridge.decisions.refused[0].reason


async def test_an_authority_that_nobody_named(start: Start, platform: Platform, certificate: Path) -> None:
    assert "unable to get local issuer" in await refused(start, await listening(platform, certificate), trusting())


async def test_another_name(start: Start, platform: Platform, authority: Authority, certificate: Path) -> None:
    upstream = await listening(platform, certificate)
    upstream = Upstream("https", "localhost", upstream.port)
    reason = await refused(start, upstream, trusting(authority.pem))
    assert "Hostname mismatch" in reason
    assert "not valid for 'localhost'" in reason


async def test_a_name_that_is_not_the_host(
    start: Start, platform: Platform, authority: Authority, certificate: Path
) -> None:
    upstream = await listening(platform, certificate)
    named = await start(upstream=upstream, upstream_tls=trusting(authority.pem), upstream_name=NAME)
    assert (await named.ask(GET))[1] == b"ok"
    platform.requests.clear()
    assert "Hostname mismatch" in await refused(start, upstream, trusting(authority.pem), "other.internal")


async def test_a_certificate_that_has_ended(start: Start, platform: Platform, authority: Authority) -> None:
    ended = authority.certificate("127.0.0.1", days=-1)
    reason = await refused(start, await listening(platform, ended), trusting(authority.pem))
    assert "certificate has expired" in reason


async def test_a_platform_that_speaks_no_tls(start: Start, platform: Platform, authority: Authority) -> None:
    upstream = Upstream("https", "127.0.0.1", platform.upstream.port)
    platform.answers = [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"]
    platform.handler = lambda peer: peer.send(platform.answers[0] or b"")
    assert "no connection to https://127.0.0.1" in await refused(start, upstream, trusting(authority.pem))


async def test_a_handshake_that_stalls(start: Start, platform: Platform, authority: Authority) -> None:
    platform.handler = platform.by_hand
    upstream = Upstream("https", "127.0.0.1", platform.upstream.port)
    bridge = await start(upstream=upstream, upstream_tls=trusting(authority.pem), connect=0.1)
    head, _ = await bridge.ask(GET)
    assert head.startswith(b"HTTP/1.1 502 ")
    assert "within 0.1 s" in bridge.decisions.refused[0].reason
    assert not bridge.pool._dialling


@pytest.mark.parametrize("content", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_authorities_is_not_the_systems(tmp_path: Path, content: str) -> None:
    (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(UnusableFileError, match="holds no certificate"):
        trusting(tmp_path / "ca.pem")


def test_only_the_authorities_that_were_named(authority: Authority) -> None:
    assert len(trusting(authority.pem).get_ca_certs()) == 1
    assert trusting().verify_mode is ssl.CERT_REQUIRED
    assert trusting(authority.pem).check_hostname


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("orderly", [True, False])
async def test_a_body_that_ends_with_the_connection_ends_with_an_alert(
    secure: Bridge, platform: Platform, authority: Authority, orderly: bool
) -> None:
    """Whoever sits on the way can send a FIN but no close_notify, without which the body may have been cut short (RFC
    9112, 9.8). asyncio's own loop cannot tell one from the other; the service runs on uvloop."""
    platform.handler = platform.by_hand
    client = await connected(secure, authority)
    await client.send(GET)
    peer = await platform.accept()
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    await client.until(b"half")
    if orderly:
        peer.close()
        assert await client.rest() == b""
    else:
        with socket.fromfd(peer.writer.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM) as raw:
            raw.shutdown(socket.SHUT_WR)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await client.rest()
