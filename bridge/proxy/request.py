"""What was read of one request, and which requests can be read in one way only (RFC 9112)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from bridge.errors import Code, Refusal
from bridge.exchange import Head, Whose
from bridge.proxy.headers import connection_options
from bridge.proxy.limits import Limits

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_HOST_BYTES = 512  # with blanks around it
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_UPGRADE_NAMES = (b"upgrade", b"connection", b"http2-settings")
# CONNECT would make a tunnel of the connection, TRACE shows the platform's view of it to the client, identity included.
_REFUSED_METHODS = frozenset((b"CONNECT", b"TRACE"))
# RFC 9110, 9.2.2. Only these may be sent a second time when the first time may not have arrived.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))
# RFC 9110, 9.3: a body of these has no meaning, and there are servers that leave it unread and take it for the next
# request, identity headers and all. So it goes on a connection that the platform is told to close behind it.
BODILESS = (b"GET", b"HEAD", b"OPTIONS", b"DELETE")

Answerer = Whose | Literal["bridge"]
"""For whom a request was forwarded, or that the bridge itself answered."""
Outcome = Literal["client_left", "platform_left", "malformed", "timeout", "session_ended", "cut"]
"""Why an answer is not complete, or a WebSocket has ended: who ended it, that one side sent what cannot be read, that
nothing came for too long, that the session was over, or that the service stopped or failed."""


class Exchange:
    """One request on its way through. Parser callbacks write into it; whoever carries it out takes `pieces` away.

    `framing` are the header lines that say how the body is sent on, empty without one; `pieces` are what is held of the
    body and `held` is their size; `complete` says that all of it has been read. `keep_alive` is whether another request
    may follow on the client's connection, `last` that none may on the platform's. `refusal` stands where the request
    cannot be read in one way only.

    The rest is for the record. Moments are those of `time.monotonic`, 0 until they come: `began` when the first byte
    was read, `asked` when the platform had the request, `heard` when it answered. `status` is that of the answer that
    was begun, `sent` the bytes written to the client, `received` those read of the body. `whose` and `logged` are as in
    `Forward`; `code` and `reference` are those of a refusal, `outcome` stands where the answer was not complete.
    """

    __slots__ = (
        "asked",
        "began",
        "chunked",
        "code",
        "complete",
        "expect",
        "framing",
        "head",
        "heard",
        "held",
        "keep_alive",
        "last",
        "logged",
        "outcome",
        "pieces",
        "received",
        "reference",
        "refusal",
        "sent",
        "status",
        "websocket",
        "whose",
    )

    def __init__(self, head: Head, *, keep_alive: bool, began: float = 0.0) -> None:
        self.head = head
        self.keep_alive = keep_alive and head.version == b"1.1"
        self.refusal: Refusal | None = None
        self.chunked = False
        self.complete = False
        self.expect = False
        self.websocket = False
        self.last = False
        self.framing = b""
        self.pieces: list[bytes] = []
        self.held = 0
        self.began = began
        self.asked = 0.0
        self.heard = 0.0
        self.status = 0
        self.sent = 0
        self.received = 0
        self.whose: Answerer = "bridge"
        self.logged = b""
        self.code: Code | None = None
        self.reference = ""
        self.outcome: Outcome | None = None

    @property
    def repeatable(self) -> bool:
        """Whether the platform may see it twice: an idempotent method, and no body that would have to be kept."""
        return not self.framing and self.head.method in _IDEMPOTENT

    def take(self) -> list[bytes]:
        """The pieces of the body that are held, which are forgotten here."""
        pieces, self.pieces, self.held = self.pieces, [], 0
        return pieces

    def read(self, limits: Limits, raw: bytes, *, upgrade: bool) -> None:
        """Take framing from the head; `raw` is what was received with it, `upgrade` what the parser makes of it.

        Nothing is forwarded on the parser's word alone: where it tolerates what others read differently, `refusal` is
        set.
        """
        try:
            self._read(limits, raw)
            if upgrade:
                self.websocket = self._is_websocket()
        except Refusal as refusal:
            self.refusal = refusal
            self.keep_alive = False

    def _read(self, limits: Limits, raw: bytes) -> None:
        head, fields = self.head, self.head.fields
        line = b"%b %b HTTP/%b\r\n" % (head.method, head.target, head.version)
        check(head, limits)
        if len(raw) > limits.head_bytes:
            check_size(head, limits)
        if head.version not in (b"1.1", b"1.0") or line not in raw:
            raise _malformed("the request line is not that of HTTP/1.1 or HTTP/1.0")
        if b"transfer-encoding" in fields or b"content-length" in fields:
            self._read_framing(fields)
        if b"expect" in fields and head.version == b"1.1":  # an older client cannot mean it (RFC 9110, 10.1.1)
            expected = connection_options(fields[b"expect"]) - {b""}
            if expected - {b"100-continue"}:
                raise _malformed("the request expects something other than 100-continue", 417)
            self.expect = bool(expected)

    def _read_framing(self, fields: dict[bytes, list[bytes]]) -> None:
        codings, lengths = fields.get(b"transfer-encoding"), fields.get(b"content-length")
        if codings and lengths:
            raise _malformed("the request has both Transfer-Encoding and Content-Length")
        if codings:
            if len(codings) > 1 or codings[0].strip(b" \t").lower() != b"chunked" or self.head.version == b"1.0":
                raise _malformed("the request has a Transfer-Encoding other than one chunked in HTTP/1.1")
            self.chunked = True
            self.framing = _CHUNKED
        elif lengths:
            length = lengths[0].strip(b" \t")
            if len(lengths) > 1 or not length.isdigit() or len(length) > 18:
                raise _malformed("the request has more than one Content-Length, or one that is no number")
            self.framing = b"Content-Length: %d\r\n" % int(length)
        if self.head.method in BODILESS and self.framing != b"Content-Length: 0\r\n":
            self.last = True
            self.framing += b"Connection: close\r\n"

    def _is_websocket(self) -> bool:
        """RFC 6455, 4.1: a GET without a body that asks for `websocket` and nothing else."""
        head = self.head
        asked = head.get(b"upgrade")
        return (
            head.method == b"GET"
            and head.version == b"1.1"
            and not self.framing
            and asked is not None
            and asked.strip(b" \t").lower() == b"websocket"
        )

    def without_upgrade(self) -> bytes:
        """The head once more, not asking for another protocol.

        A parser that sees an upgrade stops reading HTTP behind the head: it would take the body for the next request.
        """
        head = self.head
        options = connection_options(head.fields.get(b"connection", [])) - {b"upgrade", b"http2-settings", b""}
        lines = [(name, value) for name, value in head.headers if name.lower() not in _UPGRADE_NAMES]
        if options:
            lines.append((b"Connection", b", ".join(sorted(options))))
        return b"%b %b HTTP/%b\r\n%b\r\n" % (
            head.method,
            head.target,
            head.version,
            b"".join(b"%b: %b\r\n" % line for line in lines),
        )


@lru_cache(512)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value.strip(b" \t")) is not None


def check(head: Head, limits: Limits) -> None:
    """Whether a head names one method, target and host, of a size; whoever received it. Raises `Refusal`."""
    if len(head.target) > limits.target_bytes:
        raise _malformed(f"the target has {len(head.target)} bytes", 414)
    if len(head.headers) > limits.head_fields:
        raise _malformed(f"the request has {len(head.headers)} headers", 431)
    if head.method in _REFUSED_METHODS:
        raise _malformed(f"the method {head.method.decode('ascii')} is not for this server")
    if not head.target.startswith(b"/") or b"#" in head.target:
        raise _malformed("the target is not a path with a query")
    hosts = head.fields.get(b"host", ())
    if len(hosts) != 1 or len(hosts[0]) > _HOST_BYTES or not _is_host(hosts[0]):
        raise _malformed("the request has no Host, more than one, or one that is none")


def check_size(head: Head, limits: Limits) -> None:
    """Raises `Refusal` where a head is too large as a whole."""
    lines = sum(len(name) + len(value) + 4 for name, value in head.headers)
    if len(head.method) + len(head.target) + lines + 13 > limits.head_bytes:
        raise _malformed("the head is too large", 431)


def _malformed(reason: str, status: int = 400) -> Refusal:
    return Refusal(Code.REQUEST_MALFORMED, reason, status=status)
