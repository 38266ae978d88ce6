"""A hundred thousand requests of strangers leave nothing behind that grows: no row, no file, no memory (invariant 10).

What is noted of them has a place of fixed size: a ring of refusals for each tenant, and counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.saml.parts import response
from tests.support.contents import settled
from tests.support.stage import PAGE, stage

REQUESTS = 100_000
WARM_UP = 10_000
AT_ONCE = 8
COUNTED = 20
"""More than there are things to count of two slugs on two days and ever."""
GROWTH_KIB = 8 * 1024
"""What caches of bounded size and the allocator may keep; a hundred bytes kept of each request would be more."""

HEADERS = "".join(f"{name}: {value}\r\n" for name, value in PAGE.items())


def login_start(number: int) -> bytes:
    """A deep link of a browser that was never here, each to another course."""
    return f"GET /courses/c{number}?tenant=acme&n={number} HTTP/1.1\r\nHost: {{host}}\r\n{HEADERS}\r\n".encode()


def rubbish(number: int) -> bytes:
    """An answer that nobody asked for, each time another: well signed by somebody, or noise."""
    noise = random.Random(number).randbytes(300).hex()
    forms = [
        f"SAMLResponse={noise}",
        f"SAMLResponse={noise}&RelayState=%2Fcourses%2F{number}",
        f"SAMLResponse={SIGNED}&RelayState={number}.{noise[:8]}.{noise[:43]}",
        f"RelayState={noise}",
    ]
    body = forms[number % len(forms)]
    cookie = f"Cookie: kombo-bridge-login-{noise[:8]}={noise}\r\n" if number % 3 == 0 else ""
    return (
        f"POST /_bridge/saml/acme/acs HTTP/1.1\r\nHost: {{host}}\r\n{cookie}Content-Length: {len(body)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
    ).encode()


SIGNED = response().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


async def send(origin: str, numbers: range) -> set[bytes]:
    """One connection's share; the status codes that came back."""
    parts = urlsplit(origin)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    seen: set[bytes] = set()
    for number in numbers:
        request = (login_start if number % 2 else rubbish)(number).replace(b"{host}", parts.netloc.encode())
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        seen.add(head.split(b" ", 2)[1])
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        if b"connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.close()
    return seen


async def flood(origin: str, first: int, count: int) -> set[bytes]:
    shares = [range(first + start, first + count, AT_ONCE) for start in range(AT_ONCE)]
    return set().union(*await asyncio.gather(*(send(origin, share) for share in shares)))


def memory(pid: int) -> int:
    """Resident memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def counted(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM funnel").fetchone()[0])


def sizes(folder: Path) -> dict[str, int]:
    """Every file but the log, which is the operator's to rotate."""
    return {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
async def test_strangers_leave_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        pid = scene.bridge.process.pid
        await flood(scene.origin, 0, WARM_UP)
        before, files, used = await settled(tmp_path), sizes(tmp_path), memory(pid)
        seen = await flood(scene.origin, WARM_UP, REQUESTS)
        more = memory(pid) - used
        assert await settled(tmp_path) == before
        assert counted(tmp_path / "bridge.db") < COUNTED
        grown = sizes(tmp_path)
    assert seen <= {b"303", b"400"}
    assert grown.keys() == files.keys()
    assert sum(grown.values()) - sum(files.values()) < GROWTH_KIB * 1024
    assert more < GROWTH_KIB
