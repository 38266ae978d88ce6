"""What an engine asks the bridge, and what the bridge answers: a relay in front of its internal listener.

Nothing is changed on the way, so that what stands here is what was said.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bridge.errors import Refusal
from bridge.exchange import Head, Header
from bridge.front.dialects import DIALECTS
from bridge.settings.addresses import Address
from tests.support.sockets import listening


@dataclass(frozen=True)
class Asked:
    """A question, as the client's request that it describes, and the answer."""

    head: Head
    status: int
    answer: Head


@dataclass
class Relay:
    """One for each engine, which asks in one dialect. `asked` is everything, in order."""

    dialect: str
    there: Address
    asked: list[Asked] = field(default_factory=list)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self.there)
        try:
            while await self._one(reader, back, there, writer):
                pass
        finally:
            back.transport.abort()

    async def _one(
        self,
        reader: asyncio.StreamReader,
        back: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        question = await reader.readuntil(b"\r\n\r\n")
        back.write(question)
        answer = await there.readuntil(b"\r\n\r\n")
        line, headers = _parsed(question)
        method, target, _ = line.split(b" ", 2)
        said = Head(method, target, headers)
        assert said.get(b"transfer-encoding") is None, "a question has no body"
        assert said.get(b"content-length") in (None, b"0")
        body, told = await _body(method, answer, there)
        behind = target.removeprefix(f"/auth/{self.dialect}".encode())
        with contextlib.suppress(Refusal):
            asked = DIALECTS[self.dialect.encode()].head(method, behind, headers)
            self.asked.append(Asked(asked, int(answer.split(b" ", 2)[1]), told))
        writer.write(answer + body)
        await writer.drain()
        return b"close" not in (told.get(b"connection") or b"").lower()


def _parsed(head: bytes) -> tuple[bytes, list[Header]]:
    line, *lines = head[:-4].split(b"\r\n")
    pairs = (each.partition(b":") for each in lines)
    return line, [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]


async def _body(method: bytes, answer: bytes, there: asyncio.StreamReader) -> tuple[bytes, Head]:
    _, headers = _parsed(answer)
    told = Head(method, b"/", headers)
    if method == b"HEAD":
        return b"", told
    if told.get(b"transfer-encoding") is None:
        return await there.readexactly(int(told.get(b"content-length") or b"0")), told
    body = b""
    while not body.endswith(b"0\r\n\r\n"):
        body += await there.readuntil(b"\r\n")
    return body, told


@contextlib.asynccontextmanager
async def relay(dialect: str, there: Address) -> AsyncIterator[tuple[Relay, Address]]:
    """The relay, and where it listens."""
    found = Relay(dialect, there)
    async with listening(found.connected) as port:
        yield found, Address("127.0.0.1", port)
