"""The one place that says what happens to a header on its way to the platform and back (the contract, section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from bridge.errors import Code, Refusal
from bridge.exchange import Head, Header
from bridge.proxy.caching import private
from bridge.proxy.cookies import sets_own, without_own
from bridge.proxy.forwarded import Forwarding
from bridge.proxy.names import AnswerNames, Kind, RequestNames, may_trail
from bridge.proxy.response import ResponseHead

UPGRADE_LINES = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
# Looking a member up in its class costs more than all else that is done with a header.
_KEEP = Kind.KEEP
_IDENTITY = Kind.IDENTITY
_AMBIGUOUS = Kind.AMBIGUOUS
_FORWARDED = Kind.FORWARDED
_HOST = Kind.HOST
_COOKIE = Kind.COOKIE
_CONNECTION = Kind.CONNECTION
_UPGRADE = Kind.UPGRADE
_CONTENT_LENGTH = Kind.CONTENT_LENGTH
_TRANSFER_ENCODING = Kind.TRANSFER_ENCODING
_SET_COOKIE = Kind.SET_COOKIE
_CACHE_CONTROL = Kind.CACHE_CONTROL
_SHARED_CACHE = Kind.SHARED_CACHE
_TRAILER = Kind.TRAILER

_PRIVATE = b"Cache-Control: " + private(b"")
_NONE: tuple[bytes, ...] = ()
_NO_TOKENS: frozenset[bytes] = frozenset()
_NOT_NAMES = frozenset((b"close", b"keep-alive", b"upgrade", b"te", b""))


class AnswerHead:
    """The platform's answer as it goes on: header `lines`, each ended by CRLF, and what they said about framing.

    `length` is its Content-Length; without one and not `chunked`, the body ends with the connection. `close` says that
    the platform will not take another request on it, `websocket` that it has switched protocols as it was asked to.
    `told` are the `X-Kombo-*` headers, which do not go on: what the platform says to the bridge. `trailer` are the
    names that it says will come behind the body, and go on from there; `nominated` are those for the bridge alone.
    """

    __slots__ = ("chunked", "close", "length", "lines", "nominated", "told", "trailer", "websocket")

    def __init__(self, lines: bytes, told: list[Header], minor: int) -> None:
        self.lines = lines
        self.told = told
        self.length: int | None = None
        self.close = minor == 0
        self.chunked = False
        self.websocket = False
        self.trailer = b""
        self.nominated = _NO_TOKENS


class HeaderPolicy:
    """Reads and writes heads for one deployment.

    `extra_identity_names` are the names under `headers:` in bridge.yaml; of the public URL only the scheme is used.
    """

    def __init__(
        self,
        extra_identity_names: Iterable[str] = (),
        trusted_proxies: Iterable[IPv4Network | IPv6Network] = (),
        public_url: str = "http://localhost",
    ) -> None:
        self._request = RequestNames(extra_identity_names)
        self._answer = AnswerNames()
        self._forwarding = Forwarding(trusted_proxies, public_url.partition(":")[0])

    def ambiguous(self, head: Head) -> str | None:
        """The first header whose name a platform could read as an identity header's though it is not spelt so."""
        names = self._request
        for name, _ in head.headers:
            if names[name] is _AMBIGUOUS:
                return name.decode("latin-1")
        return None

    def client(self, head: Head) -> str:
        """The client's address, as far as trusted proxies can be believed about it."""
        return self._forwarding.client(head)

    def request_block(self, head: Head, identity: bytes, framing: bytes = b"", *, upgrade: bool = False) -> bytes:
        """The head that the platform receives, its empty line included.

        `identity` and `framing` are header lines, each ended by CRLF. What the client's Connection header nominates
        goes first, so that it can never remove a line that is written here.
        """
        names = self._request
        connection = head.fields.get(b"connection")
        nominated = connection_options(connection) - _NOT_NAMES if connection else None
        said: list[Header] = []
        host = b""
        out = [head.method, b" ", head.target, b" HTTP/1.1\r\n"]
        for name, value in head.headers:
            kind = names[name]
            if kind is _KEEP:
                if not nominated or name.lower() not in nominated:
                    out += (name, b": ", value, b"\r\n")
            elif kind is _HOST:
                host = value.strip(b" \t")
                out += (name, b": ", host, b"\r\n")
            elif kind is _COOKIE:
                rest = without_own(value)
                if rest and not (nominated and b"cookie" in nominated):
                    out += (name, b": ", rest, b"\r\n")
            elif kind is _FORWARDED and not (nominated and name.lower() in nominated):
                said.append((name, value))
        out += (self._forwarding.block(head, host, said), framing, UPGRADE_LINES if upgrade else b"", identity, b"\r\n")
        return b"".join(out)

    def response_head(self, head: ResponseHead, *, personal: bool) -> AnswerHead:
        """The platform's answer without what is between it and the bridge; `personal` keeps it out of shared caches.

        Raises `Refusal` (`upstream_unavailable`) where its framing can be read two ways (RFC 9112, 6.3).
        """
        names = self._answer
        lines: list[bytes] = []
        lengths = codings = options = caching = upgrade = trailer = _NONE
        told: list[Header] = []
        for line in head.lines:
            name, _, value = line.partition(b":")
            kind = names[name]
            if kind is _KEEP:
                lines.append(line)
            elif kind is _CONTENT_LENGTH:
                lengths += (value,)
            elif kind is _CONNECTION:
                options += (value,)
            elif kind is _TRANSFER_ENCODING:
                codings += (value,)
            elif kind is _SET_COOKIE:
                if not sets_own(value):
                    lines.append(line)
            elif kind is _CACHE_CONTROL:
                if personal:
                    caching += (value,)
                else:
                    lines.append(line)
            elif kind is _UPGRADE:
                upgrade += (value,)
            elif kind is _IDENTITY:
                told.append((name, value.strip(b" \t")))
            elif kind is _TRAILER:
                trailer += (value,)
            elif kind is _SHARED_CACHE and not personal:
                lines.append(line)
        tokens = connection_options(options) if options else _NO_TOKENS
        nominated = tokens - _NOT_NAMES if tokens else _NO_TOKENS
        if nominated:
            lines = [line for line in lines if line.partition(b":")[0].lower() not in nominated]
        if personal:  # behind what is nominated, so that `Connection: cache-control` cannot take it away
            lines.append(b"Cache-Control: " + private(b",".join(caching).strip(b" \t")) if caching else _PRIVATE)
        lines.append(b"")
        answer = AnswerHead(b"\r\n".join(lines), told, head.minor)
        if lengths:
            answer.length = _length(lengths, codings)
        if codings:
            answer.chunked = _chunked(codings, head)
        if tokens:
            answer.nominated = nominated
            answer.close = answer.close or b"close" in tokens
            answer.websocket = head.status == 101 and b"upgrade" in tokens and _is_websocket(upgrade)
        if trailer:
            answer.trailer = _announced(trailer, nominated)
        return answer


@lru_cache(maxsize=512)
def _remembered(value: bytes) -> frozenset[bytes]:
    return frozenset(option.strip(b" \t").lower() for option in value.split(b","))


def connection_options(values: Sequence[bytes]) -> frozenset[bytes]:
    """What all Connection headers of a message say together, in lower case."""
    value = values[0] if len(values) == 1 else b",".join(values)
    return _remembered(value) if len(value) <= 256 else _remembered.__wrapped__(value)


def _length(lengths: Sequence[bytes], codings: Sequence[bytes]) -> int:
    value = lengths[0].strip(b" \t")
    if len(lengths) > 1 or codings or not value.isdigit() or len(value) > 18:
        raise Refusal(
            Code.UPSTREAM_UNAVAILABLE, "the platform's answer has more than one length, or one that is no number"
        )
    return int(value)


def _chunked(codings: Sequence[bytes], head: ResponseHead) -> bool:
    if len(codings) > 1 or codings[0].strip(b" \t").lower() != b"chunked" or head.minor == 0:
        raise Refusal(Code.UPSTREAM_UNAVAILABLE, "the platform's answer has a Transfer-Encoding other than one chunked")
    return True


def _announced(values: Sequence[bytes], nominated: frozenset[bytes]) -> bytes:
    names = (name.strip(b" \t") for name in b",".join(values).split(b","))
    return b", ".join(name for name in names if name and may_trail(name) and name.lower() not in nominated)


def _is_websocket(upgrade: Sequence[bytes]) -> bool:
    return len(upgrade) == 1 and upgrade[0].strip(b" \t").lower() == b"websocket"
