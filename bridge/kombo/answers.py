"""Kombo's envelopes, decoded in two steps: first the frame, then each row alone, so that one odd row costs only itself.

Whatever is not a frame of Kombo's is no answer (`Unusable`); Kombo's own error is an answer (`KomboRefused`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Annotated, TypeVar

import httpx
import msgspec
import structlog

from bridge.errors import KomboRefused, KomboUnavailable
from bridge.kombo.pauses import retry_after

T = TypeVar("T")
log = structlog.get_logger()

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NOTHING = msgspec.Raw(b"")

LONGEST_MESSAGE = 1000
"""Characters of Kombo's own sentence that are kept."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<alone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

_PASSING = frozenset(
    {"PLATFORM.RATE_LIMIT_EXCEEDED", "PLATFORM.CONCURRENCY_LIMIT_EXCEEDED", "REMOTE.RATE_LIMIT_EXCEEDED"}
)
"""Codes that mean "later" whatever the HTTP status beside them, which Kombo says may change."""


class Repeat(Enum):
    """When a call that brought no usable answer may be sent again at once."""

    NEVER = "asking again cannot help"
    READS = "the outcome is unknown: only where asking twice does no harm"
    ALWAYS = "Kombo certainly did nothing"


class Unusable(KomboUnavailable):
    """One attempt without a usable answer."""

    def __init__(self, reason: str, *, repeat: Repeat = Repeat.READS, retry_after: float | None = None) -> None:
        super().__init__(reason, retry_after=retry_after)
        self.repeat = repeat


class _Error(msgspec.Struct):
    code: str | None = None
    title: str | None = None
    message: str | None = None
    log_url: str | None = None


class _Envelope(msgspec.Struct):
    status: str = "success"
    data: msgspec.Raw = _NOTHING
    error: _Error | None = None


class _Frame(msgspec.Struct):
    results: list[msgspec.Raw]
    next: Annotated[str, msgspec.Meta(max_length=4096)] | None


class Page(tuple[T, ...]):
    """The rows of one page that could be read. `unreadable` counts the others; `next` is None on the last page."""

    unreadable: int
    next: str | None

    def __new__(cls, rows: Iterable[T], *, unreadable: int = 0, next: str | None = None) -> Page[T]:
        page = super().__new__(cls, rows)
        page.unreadable, page.next = unreadable, next
        return page


def open_envelope(operation: str, response: httpx.Response, body: bytes) -> msgspec.Raw:
    """The `data` of a success.

    A redirect is never followed: it would carry the key to an address nobody configured. A 5xx is "no answer" even
    where it holds an envelope, because it may pass; a 4xx counts only with one, because whatever stands in front of the
    API answers 4xx as well.
    """
    status = response.status_code
    if response.is_redirect:
        raise Unusable(f"{operation}: Kombo answered {status}, a redirect; is api_url right?", repeat=Repeat.NEVER)
    wait = retry_after(response.headers.get("retry-after"))
    envelope, flaw = _envelope(response.headers.get("content-type", ""), body)
    error = envelope.error
    what = f"{status} {_clean(error.code) if error else flaw}".rstrip()
    if status == httpx.codes.TOO_MANY_REQUESTS or (error and error.code in _PASSING):
        raise Unusable(f"{operation}: Kombo asks to slow down: {what}", repeat=Repeat.ALWAYS, retry_after=wait)
    if error and not response.is_server_error:
        raise KomboRefused(
            _sentence(operation, what, error),
            status=status,
            kombo_code=_clean(error.code),
            message=_clean(error.message, LONGEST_MESSAGE),
        )
    if error or flaw or not response.is_success:
        raise Unusable(f"{operation}: no usable answer: {what}", retry_after=wait)
    return envelope.data


def read_page(operation: str, data: msgspec.Raw, row: type[T]) -> Page[T]:
    """One page of a list. Rows that cannot be read are left out, counted, and logged once with the first reason."""
    try:
        frame = msgspec.json.decode(data, type=_Frame)
    except _UNREADABLE as error:
        raise Unusable(f"{operation}: the page cannot be read: {error}") from error
    decoder = msgspec.json.Decoder(row)
    rows: list[T] = []
    reasons: list[str] = []
    for raw in frame.results:
        try:
            rows.append(decoder.decode(raw))
        except _UNREADABLE as error:
            reasons.append(str(error))
    if reasons:
        log.warning("kombo_rows_skipped", operation=operation, count=len(reasons), first_reason=reasons[0])
    return Page(rows, unreadable=len(reasons), next=frame.next or None)


def read_object(operation: str, data: msgspec.Raw, shape: type[T]) -> T:
    """One object."""
    try:
        return msgspec.json.decode(data, type=shape)
    except _UNREADABLE as error:
        raise Unusable(f"{operation}: the answer cannot be read: {error}") from error


def _envelope(content_type: str, body: bytes) -> tuple[_Envelope, str]:
    """What of an envelope there is, and what is wrong with it as an answer."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return _Envelope(), "without JSON"
    try:
        envelope = msgspec.json.decode(whole_characters(body), type=_Envelope)
    except _UNREADABLE as error:
        return _Envelope(), f"with a body that is not Kombo's: {error}"
    if envelope.error is None and (envelope.status != "success" or envelope.data is _NOTHING):
        return envelope, "without Kombo's envelope"
    return envelope, ""


def whole_characters(body: bytes) -> bytes:
    """The body with NUL in place of each half of a surrogate pair that stands alone.

    JavaScript writes those where it has cut a string within an emoji, and the decoder would give up on the whole page
    for it. With NUL, which our rows refuse, it costs only its row, or nothing in a field that the bridge does not read.
    """
    if not _SURROGATE.search(body):
        return body
    return _ESCAPES.sub(lambda match: rb"\u0000" if match["alone"] else match[0], body)


def _sentence(operation: str, what: str, error: _Error) -> str:
    """Without Kombo's `message`, which may repeat what was asked and so name a person; `log_url` leads to it."""
    sentence = f"{operation}: Kombo refused: {what}"
    if error.title:
        sentence += f" ({_clean(error.title)})"
    return sentence + (f", see {_clean(error.log_url, 300)}" if error.log_url else "")


def _clean(text: str | None, length: int = 100) -> str:
    return "".join(char for char in (text or "")[:length] if char.isprintable())
