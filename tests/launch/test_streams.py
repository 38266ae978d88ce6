"""Streams of learners against the running bridge, two processes of it: they end with the session, and no earlier."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from bridge.session.sessions import session_name
from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.idp_logout import SESSION, idp_of, offer_logout, signed_in, stranger
from tests.support.stage import Browser, Stage
from tests.support.stage import stage as open_stage

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

PATIENCE_SECONDS = 30
IDLE_SECONDS = 60
LEFT_SECONDS = 8
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"
STREAMS = {"/events": "", "/film": "", "/chat": UPGRADE}
HEADS = {
    b"/events": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"/film": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
    b"/chat": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
}


async def platform(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Has streams that say something ten times a second, and pages."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1]
            if path in HEADS:
                writer.write(HEADS[path])
                while not writer.is_closing():
                    writer.write(b"2\r\n:\n\r\n")
                    await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    writer.close()


def prepare(deployment: Deployment) -> None:
    offer_logout(deployment, "acme", "post", single_logout=False)
    deployment.tenants["acme"]["kombo"] |= {"sync_every": "1s", "full_sync_every": "1s"}
    deployment.tenants["vandelay"] |= {
        "identity": ["name_id"],
        "session": {"lifetime": "1h", "idle": f"{IDLE_SECONDS}s"},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("stage")
    server = await asyncio.start_server(platform, "127.0.0.1", 0)
    upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, open_stage(folder, "--workers", "2", prepare=prepare, upstream=upstream) as found:
        yield found


class Stream:
    """One that has begun, as a browser has it open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, browser: Browser, path: str) -> Stream:
        parts = urlsplit(browser.stage.origin)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        cookies = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
        lines = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookies}\r\n{STREAMS[path]}\r\n"
        writer.write(lines.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split(b" ")[1] in (b"200", b"101"), head
        return cls(reader, writer)

    async def goes_on(self) -> bool:
        """Whether the platform is heard in what comes from now on: the first read takes what has come before."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return all([await self._reader.read(65536) for _ in range(4)])
        except ConnectionResetError:
            return False

    async def cut(self) -> None:
        """Until it is, and not as if the platform had come to its end."""
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await self._reader.read(65536):
                    pass

    def close(self) -> None:
        self._writer.close()


async def streams(browser: Browser, stack: AsyncExitStack) -> list[Stream]:
    """Two of each kind, so that both processes are likely to have some."""
    opened = [await Stream.open(browser, path) for path in (*STREAMS, *STREAMS)]
    for stream in opened:
        stack.callback(stream.close)
    return opened


async def all_go_on(opened: list[Stream]) -> bool:
    return all(await asyncio.gather(*(stream.goes_on() for stream in opened)))


def change(browser: Browser, statement: str) -> None:
    """As somebody else does who has the same state."""
    digest = session_name(browser.client.cookies[SESSION])
    with contextlib.closing(sqlite3.connect(browser.stage.deployment.folder / "bridge.db")) as state, state:
        assert state.execute(f"{statement} WHERE digest = ?", (digest,)).rowcount == 1


def used_before(browser: Browser, seconds: int) -> None:
    """Let the session's last use be so much longer ago."""
    change(browser, f"UPDATE sessions SET used_at = used_at - {seconds * 1000}")


async def delete(browser: Browser) -> None:
    change(browser, "DELETE FROM sessions")


async def log_out(browser: Browser) -> None:
    assert (await browser.get("/_bridge/logout")).status_code == 200


async def log_out_at_idp(browser: Browser) -> None:
    idp = idp_of(browser.stage)
    async with stranger(browser.stage) as frame:
        assert (await idp.send(frame, idp.request(seed.JANE.remote_id), "post")).status_code == 200


async def deactivate(browser: Browser) -> None:
    await browser.stage.control(f"users/{seed.CARLOS.id}", "PATCH", integration=seed.ACME, status="INACTIVE")
    await browser.stage.control("sync")


async def remove_person(browser: Browser) -> None:
    await browser.stage.control(f"users/{seed.AISHA.id}?integration={seed.ACME}", "DELETE")
    await browser.stage.control("sync")


async def trust_another(browser: Browser) -> None:
    metadata = browser.stage.deployment.folder / "tenants" / "initech-idp.xml"
    entity = browser.stage.deployment.idp_entity_id("initech")
    former = metadata.read_text()
    assert f'entityID="{entity}"' in former
    metadata.write_text(former.replace(f'entityID="{entity}"', 'entityID="https://another.example"'))


async def remove_tenant(browser: Browser) -> None:
    (browser.stage.deployment.folder / "tenants" / "globex.yaml").unlink()


Ending = Callable[[Browser], Awaitable[None]]
ENDINGS: list[tuple[Ending, str, seed.Person]] = [
    (delete, "acme", seed.JANE),
    (log_out, "acme", seed.JANE),
    (log_out_at_idp, "acme", seed.JANE),
    (deactivate, "acme", seed.CARLOS),
    (remove_person, "acme", seed.AISHA),
    (trust_another, "initech", seed.MILTON),
    (remove_tenant, "globex", seed.RITA),
]


@pytest.mark.parametrize(("end", "slug", "person"), ENDINGS, ids=[end.__name__ for end, *_ in ENDINGS])
async def test_streams_end_with_their_session_and_nobody_elses(
    stage: Stage, end: Ending, slug: str, person: seed.Person
) -> None:
    async with AsyncExitStack() as stack:
        browser = await signed_in(stage, stack, slug, person)
        other = await signed_in(stage, stack, "acme", seed.LENA)
        mine, others = await streams(browser, stack), await streams(other, stack)
        assert await all_go_on(mine)
        await end(browser)
        await asyncio.gather(*(stream.cut() for stream in mine))
        assert await all_go_on(others)


async def test_streams_last_while_the_session_is_in_use_and_no_longer(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        browser = await signed_in(stage, stack, "vandelay", seed.KLAUS)
        opened, begun = await streams(browser, stack), time.monotonic()
        used_before(browser, IDLE_SECONDS - LEFT_SECONDS)
        while time.monotonic() < begun + LEFT_SECONDS + 1.5:
            assert (await browser.get("/my")).status_code == 200
            await asyncio.sleep(0.3)
        assert await all_go_on(opened), "the first idle limit has passed"
        used_before(browser, IDLE_SECONDS)
        await asyncio.gather(*(stream.cut() for stream in opened))


async def test_no_process_came_to_grief(stage: Stage) -> None:
    """After all that."""
    assert "Traceback" not in stage.bridge.text()
    assert not {line["event"] for line in stage.logged()} & {"vigil_failed", "stream_not_told", "streams_unwatched"}
