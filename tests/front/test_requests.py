"""Reading what a request brings, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.front import requests
from bridge.front.requests import fills_frame, is_framed, is_page_load, read_body, wants_page

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORM = {**PAGE, "Content-Type": "application/x-www-form-urlencoded"}
DESTINATIONS = [
    "audio",
    "empty",
    "font",
    "image",
    "object",
    "report",
    "script",
    "style",
    "video",
    "worker",
    "fencedframe",
]


def posted(pieces: AsyncIterator[bytes]) -> Request:
    async def receive() -> Message:
        piece = await anext(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def head(fields: dict[str, str], method: str = "GET") -> Head:
    return Head(method.encode(), b"/x", [(name.encode(), value.encode()) for name, value in fields.items()])


@pytest.mark.parametrize(
    ("destination", "page_load", "framed"),
    [
        (None, True, False),
        ("document", True, False),
        ("iframe", True, True),
        ("frame", False, True),
        ("embed", False, True),
        *((destination, False, False) for destination in DESTINATIONS),
    ],
)
def test_what_a_browser_fills_with_a_page(destination: str | None, page_load: bool, framed: bool) -> None:
    said = {**PAGE, **({"Sec-Fetch-Dest": destination} if destination else {})}
    for method in ("GET", "HEAD"):
        assert is_page_load(head(said, method)) is wants_page(head(said, method)) is page_load
        assert is_framed(head(said, method)) is fills_frame(head(said, method)) is framed
    for method in ("POST", "PUT", "DELETE", "get"):
        assert not is_page_load(head(said, method))
        assert not fills_frame(head(said, method))
    for less in ({"Accept": "*/*"}, {"X-Requested-With": "XMLHttpRequest"}, {"Sec-Purpose": "prefetch;prerender"}):
        assert not is_page_load(head({**said, **less}))
        assert not fills_frame(head({**said, **less}))


@pytest.mark.parametrize(
    ("fields", "page"),
    [
        (FORM, True),
        ({**FORM, "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}, True),
        ({**FORM, "Content-Type": "Multipart/Form-Data; boundary=x"}, True),
        ({**FORM, "Content-Type": "text/plain"}, True),
        ({**FORM, "Sec-Fetch-Dest": "document"}, True),
        ({**FORM, "Sec-Fetch-Dest": "empty"}, False),
        ({**FORM, "Accept": "*/*"}, False),
        ({**FORM, "X-Requested-With": "XMLHttpRequest"}, False),
        ({**FORM, "Content-Type": "application/json"}, False),
        ({**FORM, "Content-Type": "application/x-www-form-urlencodedx"}, False),
        (PAGE, False),
    ],
)
def test_a_form_that_was_sent_gets_a_page_and_a_program_does_not(fields: dict[str, str], page: bool) -> None:
    assert wants_page(head(fields, "POST")) is page
    assert not wants_page(head(fields, "PUT"))
    assert not is_page_load(head(fields, "POST"))


async def test_a_form_that_comes_in_time_is_read() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a=1&"
        yield b"b=2"

    assert await read_body(posted(pieces()), 7, Code.SAML_MALFORMED) == b"a=1&b=2"
    with pytest.raises(Refusal) as caught:
        await read_body(posted(pieces()), 6, Code.SAML_MALFORMED)
    assert caught.value.status == 413


async def test_a_form_that_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.2)

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.05)
            yield b"x"

    with pytest.raises(Refusal) as caught:
        await asyncio.wait_for(read_body(posted(pieces()), 1000, Code.REQUEST_MALFORMED), 5)
    assert (caught.value.code, caught.value.status) == (Code.REQUEST_MALFORMED, 408)
