"""What a header is, by its name alone.

A platform may read a name otherwise than it is spelt: CGI and its heirs (WSGI, PHP, Rack) make `X_Kombo_User` and
`X-Kombo-User` one variable. So every name is judged by its *reading*, in which each character that is no letter or
digit is a `-`; one that is not spelt like its reading is never taken for what it resembles, and never passed on as it
either.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum, auto
from itertools import product

_READING = bytes(byte if chr(byte).isalnum() and byte < 128 else ord("-") for byte in bytes(range(256)).lower())
_LEARNT = 2048


class Kind(Enum):
    """What is done with a header."""

    KEEP = auto()
    DROP = auto()  # hop-by-hop, or something that only the bridge may say
    IDENTITY = auto()  # dropped: `X-Kombo-*` or a configured name; in answers what the platform says to the bridge
    AMBIGUOUS = auto()  # dropped: could be read as an identity name, which refuses the request
    FORWARDED = auto()  # rewritten: where the request came from
    HOST = auto()
    COOKIE = auto()
    CONNECTION = auto()
    UPGRADE = auto()
    TRAILER = auto()  # which headers come behind the body
    CONTENT_LENGTH = auto()
    TRANSFER_ENCODING = auto()
    SET_COOKIE = auto()
    CACHE_CONTROL = auto()
    SHARED_CACHE = auto()  # Cache-Control for shared caches alone, which there it overrides (RFC 9213)


# RFC 9110, 7.6.1, with the names that older software still sends. `Proxy` is no header, but CGI programs take it for
# HTTP_PROXY (CVE-2016-5385). `Expect` is answered by the bridge.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization proxy te trailer upgrade "
    b"http2-settings expect".split()
)
_FRAMING = {b"content-length": Kind.CONTENT_LENGTH, b"transfer-encoding": Kind.TRANSFER_ENCODING}


def _spelt(*parts: str) -> frozenset[bytes]:
    """Every name that can be put together of the parts, each a choice of what stands between `|`."""
    return frozenset("".join(choice).encode() for choice in product(*(part.split("|") for part in parts)))


# By these a platform, or a framework in front of it, would take another method, path or host than the one decided on.
_OVERRIDE = (
    _spelt(
        "|x-",
        "original|rewrite|rewritten|replaced|forwarded|envoy-original|ms-original|request|raw|unencoded|waws-unencoded",
        "-",
        "url|uri|request-uri|path|path-and-query|query|prefix|path-prefix|path-base|pathbase|method|dst-host|host-override",
    )
    | _spelt("x-original-host|x-envoy-original-host|x-original-request|x-host|x-http-host-override|x-http-url")
    | _spelt("|x-", "|http-", "method", "|-override")
    | _spelt("x-", "|http-", "url|uri|path", "-override")
    | _spelt("|x-", "script-name|path-info|path-translated|request-uri|http-path")
    | _spelt("x-", "matched|invoke", "-", "path|query|output")
    | _spelt("x-now-route-matches|x-sendfile-type|x-accel-mapping")
)
# With the names under which delivery networks and load balancers say the client's address and scheme.
_FORWARDED = (
    _spelt("forwarded|x-real-ip|x-forwarded|x-original-forwarded-for|x-envoy-external-address|remote-addr")
    | _spelt("|true-|fastly-|x-|x-cluster-", "client-ip")
    | _spelt("cf-connecting-ip", "|v6")
    | _spelt("x-", "remote|originating", "-", "ip|addr")
    | _spelt("x-scheme|x-url-scheme|front-end-https")
)
_FORWARDED_FAMILY = b"x-forwarded-"
# Of that family, where names have to be listed one by one: what proxies and what signs people in in front of a platform
# are known to send.
_FORWARDED_KNOWN = _spelt(
    "x-forwarded-",
    "for|proto|host|port|server|by|ssl|scheme|protocol|for-ip|for-original|original-for|client-ip|client-cert|tls-client-cert"
    "|tls-client-cert-info|user|email|groups|roles|name|preferred-username|access-token|id-token|login|remote-user",
)
_SHARED_CACHE = re.compile(
    rb"surrogate-control|edge-control|x-accel-expires|(?:[a-z0-9]+-)*cdn-cache-control|cdn-cache-control"
)
SHARED_CACHE_KNOWN = (
    "surrogate-control",
    "edge-control",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "netlify-cdn-cache-control",
    "vercel-cdn-cache-control",
)
"""Those of that kind that delivery networks document, where names have to be listed one by one."""
# RFC 9110, 6.5.1: what a client must know before it reads the body, or what it would act on.
_NOT_TRAILING = frozenset(
    b"host age date expires location retry-after vary warning www-authenticate authentication-info content-encoding"
    b" content-type content-range".split()
)

_REQUEST = {b"host": Kind.HOST, b"cookie": Kind.COOKIE}
_ANSWER = {
    b"connection": Kind.CONNECTION,
    b"upgrade": Kind.UPGRADE,
    b"trailer": Kind.TRAILER,
    b"set-cookie": Kind.SET_COOKIE,
    b"cache-control": Kind.CACHE_CONTROL,
}


def reading(name: bytes) -> bytes:
    """The name as the most lenient platform would read it."""
    return name.translate(_READING)


def removed_names() -> frozenset[str]:
    """Every name, in lower case, that no client's request brings to the platform, whoever forwards it.

    For engines that remove headers one by one; `X-Kombo-*` and the names under `headers:` come on top. What every proxy
    writes itself for each connection is not among them.
    """
    connections = frozenset((b"connection", b"upgrade", b"expect"))
    return frozenset(name.decode() for name in (_HOP_BY_HOP - connections) | _OVERRIDE | _FORWARDED | _FORWARDED_KNOWN)


def _says_where_from(read: bytes) -> bool:
    return read in _FORWARDED or read.startswith(_FORWARDED_FAMILY)


class Names(dict[bytes, Kind], ABC):
    """What has been learnt about names as they were spelt. Bounded, since clients choose them.

    `names[name]` learns; it is a dictionary because it is asked for every header of every message.
    """

    def __missing__(self, name: bytes) -> Kind:
        if len(self) >= _LEARNT:
            self.clear()
        kind = self._classify(name)
        if len(name) <= 128:
            self[name] = kind
        return kind

    @abstractmethod
    def _classify(self, name: bytes) -> Kind:
        """What a name means that has not been seen before."""


class RequestNames(Names):
    """Names in requests. `extra` are further names under which the platform looks for who it is."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        super().__init__()
        self._extra = frozenset(reading(name.encode("ascii")) for name in extra)

    def _classify(self, name: bytes) -> Kind:
        read = reading(name)
        spelt = read == name.lower()
        if read.startswith(b"x-kombo-") or read in self._extra:
            return Kind.IDENTITY if spelt else Kind.AMBIGUOUS
        if read in _HOP_BY_HOP or read in _OVERRIDE:
            return Kind.DROP
        special = _FRAMING.get(read) or _REQUEST.get(read) or (Kind.FORWARDED if _says_where_from(read) else Kind.KEEP)
        return special if spelt or special is Kind.KEEP else Kind.DROP


class AnswerNames(Names):
    """Names in the platform's answers."""

    def _classify(self, name: bytes) -> Kind:
        read = reading(name)
        if read.startswith(b"x-kombo-"):
            return Kind.IDENTITY if read == name.lower() else Kind.DROP
        special = _FRAMING.get(read) or _ANSWER.get(read)
        if special is not None:
            return special if read == name.lower() else Kind.DROP
        if read in _HOP_BY_HOP:
            return Kind.DROP
        return Kind.SHARED_CACHE if _SHARED_CACHE.fullmatch(read) else Kind.KEEP


def may_trail(name: bytes) -> bool:
    """Whether a header of the platform's answer may go on where it stands behind the body."""
    return AnswerNames()[name] is Kind.KEEP and reading(name) not in _NOT_TRAILING
