"""Ten thousand streams that say nothing: are all of them open, and how much of the bridge's memory does each hold?

Memory is the growth of the bridge's processes from a bridge that has forwarded for a second; what the kernel holds for
the sockets is not in it. Each kind has a bridge and a platform of its own, which have had no streams before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.forwarding import load
from bench.forwarding.checks import Wrong
from bench.forwarding.ends import KINDS
from bench.forwarding.machine import LOAD_CORE, cpu_seconds, pin, pss_kib, raise_open_files
from bench.forwarding.options import Options
from bench.forwarding.report import Report
from bench.forwarding.rows import Row
from bench.forwarding.sides import Side, bridge, sign_in
from tests.support.processes import Running, free_port, started

SESSIONS = 100
SETTLING_SECONDS = 2
EVENTS_PER_SECOND = 5000
"""What a bridge on a shared core passes on in any case."""
OTHER_FILES = 500
"""What a worker has open beside two sockets for each stream, at most."""


@contextmanager
def platform(folder: Path) -> Iterator[tuple[Running, str]]:
    port = free_port()
    command = [sys.executable, "-m", "bench.forwarding.ends", "platform", str(port)]
    with started(command, folder / f"platform-{port}.log") as running:
        running.wait_for_port(port)
        pin([running.process.pid], LOAD_CORE)
        yield running, f"http://127.0.0.1:{port}"


@dataclass
class Opened:
    """Streams that a client process holds open."""

    open: int
    process: asyncio.subprocess.Process

    async def heard(self) -> int:
        """How many of them have had an event by now."""
        assert self.process.stdin
        self.process.stdin.write(b"\n")
        return (await told(self.process))["heard"]


async def told(process: asyncio.subprocess.Process) -> dict[str, int]:
    assert process.stdout
    line = await process.stdout.readline()
    assert line, "the client of the streams ended before it said anything"
    return dict(json.loads(line))


@contextlib.asynccontextmanager
async def opened(kind: str, side: Side, count: int, sessions: list[str]) -> AsyncIterator[Opened]:
    """So many streams of a kind, while the block lasts."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "bench.forwarding.ends", "client", kind, side.url, str(count), *sessions]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        yield Opened((await told(process))["open"], process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def streams(folder: Path, options: Options, report: Report) -> None:
    """Where one process may not open two sockets for each stream, several workers share them, and the note says so."""
    files = raise_open_files()
    workers = -(-2 * options.streams // max(1, files - OTHER_FILES))
    for kind in KINDS:
        with platform(folder) as (behind, url):
            async with bridge(folder, url, workers=workers) as (running, side):
                more = min(SESSIONS, options.streams) - 1
                sessions = [*side.headers, *[await sign_in(running) for _ in range(more)]]
                warm = await load.wrk(side, 1, options.connections)
                if warm.errors:
                    raise Wrong(f"{side.name} had {warm.errors} errors before the first stream")
                row = await idle(kind, side, behind, options, sessions)
        shared = f"; {workers} workers, since a process may open only {files} files here" if workers > 1 else ""
        report.row(replace(row, note=row.note + shared))


async def idle(kind: str, side: Side, behind: Running, options: Options, sessions: list[str]) -> Row:
    count, before = options.streams, pss_kib(side.roots)
    async with opened(kind, side, count, sessions) as streams:
        await asyncio.sleep(SETTLING_SECONDS)
        cpu = cpu_seconds(side.roots)
        await asyncio.sleep(options.quiet)
        cpu = (cpu_seconds(side.roots) - cpu) / options.quiet
        grown = pss_kib(side.roots) - before
        behind.process.send_signal(signal.SIGUSR1)
        await asyncio.sleep(1 + count / EVENTS_PER_SECOND)
        heard = await streams.heard()
    note = (
        f"{streams.open} of {count} opened in {len(sessions)} sessions, an event came out of {heard} after "
        f"{options.quiet} s of silence; {before / 1024:.0f} MiB without them, {cpu:.1%} of a core with them"
    )
    values = [grown / count] if heard == count else []
    return Row(f"PSS of an idle {kind} stream, {count} open", "15 KiB", 15, "KiB", values, note)
