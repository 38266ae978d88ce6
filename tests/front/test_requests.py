"""Reading what a request brings, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from bridge.errors import Code, Refusal
from bridge.front import requests
from bridge.front.requests import read_form


def posted(pieces: AsyncIterator[bytes]) -> Request:
    async def receive() -> Message:
        piece = await anext(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def test_a_form_that_comes_in_time_is_read() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a=1&"
        yield b"b=2"

    assert await read_form(posted(pieces()), 7, Code.SAML_MALFORMED) == b"a=1&b=2"
    with pytest.raises(Refusal) as caught:
        await read_form(posted(pieces()), 6, Code.SAML_MALFORMED)
    assert caught.value.status == 413


async def test_a_form_that_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "FORM_SECONDS", 0.2)

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.05)
            yield b"x"

    with pytest.raises(Refusal) as caught:
        await asyncio.wait_for(read_form(posted(pieces()), 1000, Code.REQUEST_MALFORMED), 5)
    assert (caught.value.code, caught.value.status) == (Code.REQUEST_MALFORMED, 408)
