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

# By these a platform, or a framework in front of it, would take another method, path or host than the one decided on.
_OVERRIDE = re.compile(
    rb"(?:x-)?(?:original|rewrite|rewritten|replaced|forwarded|envoy-original|ms-original|request|raw|unencoded|waws-unencoded)"
    rb"-(?:url|uri|request-uri|path|path-and-query|query|prefix|path-prefix|path-base|pathbase|method|dst-host|host-override)"
    rb"|x-original-host|x-original-request|x-host|x-http-host-override"
    rb"|(?:x-)?(?:http-)?method(?:-override)?|x-http-(?:url|uri|path)-override|x-(?:url|uri|path)-override|x-http-url"
    rb"|(?:x-)?(?:script-name|path-info|path-translated|request-uri|http-path)"
    rb"|x-(?:matched|invoke)-(?:path|query|output)|x-now-route-matches"
    rb"|x-sendfile-type|x-accel-mapping"
)
# With the names under which delivery networks and load balancers say the client's address and scheme.
_FORWARDED = re.compile(
    rb"forwarded|x-real-ip|x-forwarded(?:-.*)?|x-original-forwarded-for|x-envoy-external-address"
    rb"|(?:true-|fastly-|x-|x-cluster-)?client-ip|cf-connecting-ip(?:v6)?|x-(?:remote|originating)-(?:ip|addr)|remote-addr"
    rb"|x-(?:url-)?scheme|front-end-https"
)
_SHARED_CACHE = re.compile(
    rb"surrogate-control|edge-control|x-accel-expires|(?:[a-z0-9]+-)*cdn-cache-control|cdn-cache-control"
)

_REQUEST = {b"host": Kind.HOST, b"cookie": Kind.COOKIE}
_ANSWER = {
    b"connection": Kind.CONNECTION,
    b"upgrade": Kind.UPGRADE,
    b"set-cookie": Kind.SET_COOKIE,
    b"cache-control": Kind.CACHE_CONTROL,
}


def reading(name: bytes) -> bytes:
    """The name as the most lenient platform would read it."""
    return name.translate(_READING)


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
        if read in _HOP_BY_HOP or _OVERRIDE.fullmatch(read):
            return Kind.DROP
        special = (
            _FRAMING.get(read) or _REQUEST.get(read) or (Kind.FORWARDED if _FORWARDED.fullmatch(read) else Kind.KEEP)
        )
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
