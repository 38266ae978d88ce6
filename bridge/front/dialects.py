"""How each engine says which request it asks about, and which answers it takes for a refusal.

An engine asks with a request of its own, whose headers are the client's but for those in which the engine describes
what it received. A description that is missing, doubled or no request is the engine's fault or somebody's trick: it is
refused. Another engine's headers mean nothing here, so that a client cannot speak for the engine in another dialect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.errors import Code, Refusal
from bridge.exchange import Head, Header
from bridge.proxy.cookies import hides_own

# What the bridge's own parser (llhttp) makes of a request line; the rest of the judgement is `bridge.proxy.request`'s.
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,31}")
_TARGET = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`method`, `target` and `host` are the names of the headers that say those of the client's request.

    Without `target` it is the engine's own target behind the prefix; without `method`, the engine's own. `dropped` are
    further headers that are the engine's and say nothing of the client.

    What a refusal's status may be: `hands_over` engines know 401 and 403 alone, and let the bridge's public listener
    answer the client. Others pass our answer on, but 2xx, and with `hides_failures` 5xx, would not arrive as what it
    is. `own_origin`: a relative Location would be taken for one of this listener's.

    `joins`: headers that stand twice come as one, joined by a comma.
    """

    name: str
    method: bytes | None = None
    target: bytes | None = None
    host: bytes = b"host"
    dropped: frozenset[bytes] = frozenset()
    hands_over: bool = False
    hides_failures: bool = False
    own_origin: bool = False
    joins: bool = False

    def head(self, method: bytes, behind: bytes, headers: Sequence[Header]) -> Head:
        """The client's request, out of the engine's; `behind` is what stands behind the prefix of its target.

        Raises `Refusal` where the engine does not say it, or says it twice.
        """
        said: dict[bytes, bytes] = {}
        kept: list[Header] = []
        told = (self.method, self.target, self.host)
        for header in headers:
            name, value = header
            if name in told:
                if name in said:
                    raise _unsaid(f"{name.decode()} stands twice")
                said[name] = value.strip(b" \t")
            elif name not in self.dropped:
                kept.append(header)
        kept.append((b"host", _said(said, self.host)))
        if self.method is not None:
            method = _said(said, self.method)
        target = behind if self.target is None else _said(said, self.target)
        if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
            raise Refusal(Code.REQUEST_MALFORMED, "the method or the target is none", retry="/")
        head = Head(method, target, kept, rehearsal=self.hands_over)
        if self.joins and any(map(hides_own, head.fields.get(b"cookie", ()))):
            raise Refusal(Code.HEADERS_AMBIGUOUS, "the proxy has joined two Cookie headers by a comma", retry="/")
        return head

    def status(self, status: int) -> int:
        """What to answer so that the engine turns the request away, and as far as it can, with this status."""
        if self.hands_over:
            return 401 if status == 401 else 403
        if 200 <= status < 300 or (status >= 500 and self.hides_failures):
            return 403
        return status


def _said(said: dict[bytes, bytes], name: bytes) -> bytes:
    value = said.get(name)
    if not value:
        raise _unsaid(f"{name.decode()} is missing")
    return value


def _unsaid(reason: str) -> Refusal:
    hint = "set up the proxy as `kombo-bridge generate` prints it"
    return Refusal(Code.REQUEST_MALFORMED, f"{reason} in what the proxy asks: {hint}", retry="/")


_FORWARDED = frozenset(b"host x-forwarded-for x-forwarded-port x-forwarded-proto x-forwarded-server x-real-ip".split())

DIALECTS = {
    dialect.name.encode(): dialect
    for dialect in (
        Dialect("nginx", b"x-original-method", b"x-original-uri", hands_over=True),
        Dialect("traefik", b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host", _FORWARDED, own_origin=True),
        Dialect("caddy", b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host", _FORWARDED),
        Dialect("envoy", hides_failures=True, joins=True),
    )
}
