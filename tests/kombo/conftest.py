from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from bridge.kombo.client import KomboClient
from bridge.kombo.pauses import Patience
from bridge.kombo.transport import http_client
from bridge.settings.model import Kombo

INTEGRATION = "workday:HWUTwvyx2wLoSUHphiWVrp28"
HASTY = Patience(page=1.0, write=1.0, attempt=0.2, attempts=3, backoff=0.01)


@dataclass
class Script:
    """A server that gives the answers of a script, one a request, the last one again and again.

    An answer has `status`, `headers`, `body` (text, or bytes), and what may be wrong with it: `times` repeats the body,
    `gzip` compresses it (`without` so many bytes at the end), `cut` promises more than it gives, `silent` ends without
    a word, `hang` says nothing, `drip` never ends.
    """

    answers: list[dict[str, Any]]
    url: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
            self.requests.append((method, target, headers, body))
            await self.give(answer, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def give(self, answer: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if answer.get("silent"):
            return
        if answer.get("hang"):
            await asyncio.sleep(5)
        text = answer.get("body", "")
        body = (text if isinstance(text, bytes) else text.encode()) * answer.get("times", 1)
        headers = {"Content-Type": "application/json", "Connection": "close", **answer.get("headers", {})}
        if answer.get("gzip"):
            body = gzip.compress(body)
            body = body[: len(body) - answer.get("without", 0)]
            headers["Content-Encoding"] = "gzip"
        if not answer.get("drip"):
            headers["Content-Length"] = str(len(body) + (7 if answer.get("cut") else 0))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
        writer.write(f"HTTP/1.1 {answer.get('status', 200)} Any\r\n{lines}\r\n".encode() + body)
        await writer.drain()
        while answer.get("drip"):
            await asyncio.sleep(0.02)
            writer.write(b" ")
            await writer.drain()


Scripted = Callable[..., contextlib.AbstractAsyncContextManager[Script]]


@pytest.fixture
def scripted() -> Scripted:
    @contextlib.asynccontextmanager
    async def start(*answers: dict[str, Any]) -> AsyncIterator[Script]:
        script = Script(list(answers))
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            try:
                await script.serve(reader, writer)
            except asyncio.CancelledError:
                writer.transport.abort()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield script
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return start


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as client:
        yield client


Connect = Callable[..., KomboClient]


@pytest.fixture
def connect(http: httpx.AsyncClient) -> Connect:
    def connected(
        url: str, integration: str = INTEGRATION, key: str = "key", patience: Patience = HASTY
    ) -> KomboClient:
        return KomboClient(http, Kombo.model_validate({"api_url": url, "api_key": key}), integration, patience)

    return connected
