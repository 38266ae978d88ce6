"""One document from one URL, by a client that goes nowhere else.

The name is resolved once, every address it has is judged, and the connection goes to an address that was judged: a name
that changes its mind in between (DNS rebinding) changes nothing. httpcore is httpx's own engine, and the layer at which
a connection's address can be chosen while TLS still verifies the name; it knows no proxy, netrc, cookie or redirect, so
that none needs to be switched off.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpcore

from bridge.bodies import ACCEPTED, BodyError, inflated
from bridge.errors import BridgeError
from bridge.hosts import DEFAULT_PORTS, authority, host_and_port, is_loopback
from bridge.idps.networks import Network, is_allowed, numeric, shown
from bridge.printable import printable
from bridge.saml.metadata import MAX_BYTES, MAX_URL

DEADLINE_SECONDS = 20.0
CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
READ_BYTES = 4096
MAX_RECEIVED = MAX_BYTES + 512 * 1024
MAX_REDIRECTS = 3
MAX_ADDRESSES = 16
RESOLVERS = 8

_REDIRECTS = (301, 302, 303, 307, 308)
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_ETAG = re.compile(r'(W/)?"[!#-~]{0,500}"')

Resolve = Callable[[str, int], Iterable[str]]


class FetchError(BridgeError):
    """A document that did not come; the sentence says why, for the operator."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: the document, or None where it is still the one of the ETag that was asked with."""

    document: bytes | None
    etag: str | None


class Fetcher:
    """Fetches over https, and over plain http from loopback; `networks` are `metadata_networks`.

    Certificates are verified by the system's store; `SSL_CERT_FILE` and `SSL_CERT_DIR` name another one, as they do for
    every program that uses OpenSSL.
    """

    def __init__(
        self,
        networks: Collection[Network] = (),
        *,
        resolve: Resolve | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        self._networks = networks
        self._resolve = resolve or _resolved
        self._deadline = deadline
        # Not the loop's own threads: a resolver that stalls would hold up everything else that runs in those.
        self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")

    def close(self) -> None:
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def fetch(self, url: str, etag: str | None = None) -> Fetched:
        """The document at `url`; raises `FetchError`. Whatever happens, it is over after the deadline."""
        try:
            async with asyncio.timeout(self._deadline):
                return await self._fetch(url, etag)
        except TimeoutError:
            raise FetchError(f"no whole answer within {self._deadline:g} s") from None

    async def _fetch(self, url: str, etag: str | None) -> Fetched:
        origin = _origin(url)
        backend = _Judged(lambda host, port: self._addresses(host, port, plain=origin.scheme == "http"))
        pool = httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=backend, max_keepalive_connections=0)
        async with contextlib.aclosing(backend), pool:
            for _ in range(MAX_REDIRECTS + 1):
                answer = await _ask(pool, url, etag)
                if isinstance(answer, Fetched):
                    return answer
                url = _target(url, answer)
                if _origin(url) != origin:
                    raise FetchError(
                        f"it redirects to another origin, {_origin(url)}: write that address, if it is right"
                    )
        raise FetchError(f"it redirects more than {MAX_REDIRECTS} times")

    async def _addresses(self, host: str, port: int, *, plain: bool) -> list[str]:
        """Where `host` may be connected to. Every address that it has must be allowed: nobody says which one counts."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._resolvers, lambda: list(self._resolve(host, port))
            )
            addresses = list(dict.fromkeys(map(numeric, found)))
        except (OSError, ValueError) as error:
            raise FetchError(f"the host {host} cannot be resolved: {_said(error)}") from None
        if not 0 < len(addresses) <= MAX_ADDRESSES:
            raise FetchError(f"the host {host} has {len(addresses)} addresses; 1 to {MAX_ADDRESSES} can be judged")
        for address in addresses:
            if not is_allowed(address, self._networks):
                raise FetchError(
                    f"the host {host} has the address {address}, which is not public: if it is your own, write"
                    f" {shown(address)} or its network under metadata_networks"
                )
            if plain and not address.is_loopback:
                raise FetchError(f"the host {host} has the address {address}: plain http is for loopback only")
        return list(map(str, addresses))


class _Judged(httpcore.AsyncNetworkBackend):
    """Connects only to addresses that were judged, each name being resolved once; TLS still verifies the name."""

    def __init__(self, judged: Callable[[str, int], Awaitable[list[str]]]) -> None:
        self._judged = judged
        self._known: dict[str, list[str]] = {}
        self._network = httpcore.AnyIOBackend()
        self._streams: list[httpcore.AsyncNetworkStream] = []

    async def aclose(self) -> None:
        """Close what is still open: httpcore forgets a connection that is cancelled in the middle of its handshake."""
        for stream in self._streams:
            await stream.aclose()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if host not in self._known:
            self._known[host] = await self._judged(host, port)
        failed: Exception | None = None
        for address in self._known[host]:
            try:
                stream = await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
                continue
            self._streams.append(stream)
            return _Measured(stream)
        raise failed or httpcore.ConnectError("no address")


class _Measured(httpcore.AsyncNetworkStream):
    """Reads little at a time, and only so much in all, letting everything else have its turn in between.

    The body has a limit of its own, but what stands around it has none: chunks of one byte, or answers that only
    announce another (103), would keep a whole process busy for as long as they come.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = MAX_RECEIVED

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # httpcore's signature
        data = await self._stream.read(min(max_bytes, READ_BYTES), timeout)
        self._left -= len(data)
        if self._left < 0:
            raise httpcore.ReadError(f"it has more than {MAX_RECEIVED} bytes, with all that stands around the document")
        await asyncio.sleep(0)  # TLS hands out what it has decrypted already without ever waiting
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # as above
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # as above
    ) -> httpcore.AsyncNetworkStream:
        return _Measured(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{authority(self.host, self.port, self.scheme)}"


def _origin(url: str) -> _Origin:
    """Where a URL leads; raises `FetchError` for one that two readers could read differently."""
    try:
        parts = urlsplit(url)
        host, port = host_and_port(parts.netloc)
    except ValueError:
        raise FetchError("it leads to what is not a URL of the form https://host/path") from None
    if not _URL.fullmatch(url) or parts.scheme not in DEFAULT_PORTS or len(url) > MAX_URL:
        raise FetchError("it leads to what is not a URL of the form https://host/path")
    if parts.scheme == "http" and not is_loopback(host):
        raise FetchError("it leads to plain http: whoever changes the metadata on the way decides who signs in")
    return _Origin(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme])


def _target(url: str, location: str) -> str:
    """Where a redirect leads (RFC 9110, 10.2.2); whether that is a URL is for `_origin` to say."""
    try:
        return urljoin(url, location).partition("#")[0]
    except ValueError:
        return ""


async def _ask(pool: httpcore.AsyncConnectionPool, url: str, etag: str | None) -> Fetched | str:
    """One request: what came, or where it redirects to."""
    origin = _origin(url)
    headers: dict[bytes | str, bytes | str] = {
        "Host": authority(origin.host, origin.port, origin.scheme),
        "User-Agent": f"kombo-bridge/{version('kombo-bridge')}",
        "Accept": "application/samlmetadata+xml, application/xml;q=0.9, */*;q=0.1",
        "Accept-Encoding": ACCEPTED,
        **({"If-None-Match": etag} if etag else {}),
    }
    limits = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS}
    try:
        async with pool.stream("GET", url, headers=headers, extensions={"timeout": limits}) as answer:
            said = {name.lower(): value.decode("latin-1") for name, value in reversed(answer.headers)}
            if answer.status in _REDIRECTS:
                return said.get(b"location", "")
            if answer.status == 304 and etag:
                return Fetched(None, etag)
            if answer.status != 200:
                raise FetchError(f"the answer is HTTP {answer.status}, not 200")
            body = await inflated(answer.aiter_stream(), said.get(b"content-encoding", ""), MAX_BYTES)
            known_as = said.get(b"etag", "")
            return Fetched(body, known_as if _ETAG.fullmatch(known_as) else None)
    except BodyError as error:
        raise FetchError(f"the answer is {error}") from None
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise FetchError(f"no connection to {origin}: {_said(error)}") from None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        raise FetchError(f"the answer of {origin} was cut off: {_said(error)}") from None


def _resolved(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _said(error: Exception) -> str:
    """What a library says of an error, fit for a line of a log."""
    return printable(" ".join(str(error).split())[:200] or type(error).__name__)
