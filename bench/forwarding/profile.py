"""Where the microseconds of a forwarded request go: by step of the bridge, by library, and by system call."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.forwarding.checks import check
from bench.forwarding.groups import STEPS, counted
from bench.forwarding.load import Sample, Stopped, told_by, wrk
from bench.forwarding.machine import main_thread_seconds
from bench.forwarding.options import Options
from bench.forwarding.report import introduction, table
from bench.forwarding.sides import Side, bridge, platform

PLACES, CALLS, PATIENCE_SECONDS = 15, 8, 10
LIBRARIES = (
    (r"\[kernel|\[vdso|\[guest", "the kernel"),
    (r"(libpython|python)[\d.]", "the interpreter"),
    (r"loop\.", "uvloop"),
    (r"parser\.", "llhttp"),
    (r"(libc|libm|libpthread|ld-linux)\b", "the C library"),
)
"""By how the name of the file begins that the code came from."""


@dataclass(frozen=True)
class Looking:
    """A bridge under load and what it costs while nobody looks, in microseconds of CPU per request."""

    side: Side
    options: Options
    folder: Path
    plain: float

    @property
    def pid(self) -> int:
        (pid,) = self.side.roots
        return pid

    async def load(self, turns: int = 1) -> Sample:
        return await wrk(self.side, turns * self.options.seconds, self.options.connections)

    def shares(self, title: str, counts: Mapping[str, float], total: float) -> str:
        """What each had of the whole."""
        lines = [(name, f"{self.plain * n / total:.1f}", f"{n / total:.0%}") for name, n in counts.items()]
        return table((title, "µs", "share"), lines)


async def profile(folder: Path, options: Options, about: Mapping[str, str]) -> str:
    """As Markdown. Each way of looking has turns of its own, since each slows the bridge down."""
    samples = folder / "samples.json"
    around = (sys.executable, "-m", "bench.forwarding.sampler", str(samples))
    with platform(folder, 0) as behind:
        async with bridge(folder, behind.url, around=around) as (_, side):
            await check(side)
            await wrk(side, 1, options.connections)
            first = main_thread_seconds(*side.roots)
            sample = await wrk(side, options.seconds, options.connections)
            first = (main_thread_seconds(*side.roots) - first) / sample.cpu
            plain = sample.cost * 1e6
            looking = Looking(side, options, folder, plain)
            found = [await by_step(looking, samples), await by_library(looking), await by_call(looking)]
    cost = (
        f"{plain:.1f} µs of CPU per request of 1 KiB, over {options.connections} connections; "
        f"the main thread used {first:.0%} of it."
    )
    return "\n\n".join([f"{introduction(about)} {cost}", *found])


async def by_step(looking: Looking, samples: Path) -> str:
    """By samples of the main thread's Python stack; see `sampler`."""
    os.kill(looking.pid, signal.SIGUSR1)
    await looking.load(turns=4)
    os.kill(looking.pid, signal.SIGUSR2)
    await asyncio.to_thread(wait_for, samples)
    steps, places = counted(json.loads(await asyncio.to_thread(samples.read_text)))
    total = steps.total()
    return "\n\n".join(
        [
            looking.shares("step", {step: steps[step] for step in STEPS}, total),
            f"The functions of the bridge that take most, with what they call in C and in libraries ({total} samples):",
            looking.shares("function", dict(places.most_common(PLACES)), total),
        ]
    )


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise Stopped("the sampler in the bridge did not write what it saw")
        time.sleep(0.05)


async def by_library(looking: Looking) -> str:
    """By what perf sees of the process from outside, the kernel included."""
    if shutil.which("perf") is None:
        return "By library: perf is missing (apt-get install linux-perf)."
    data = looking.folder / "perf.data"
    seconds = str(max(1, looking.options.seconds - 1))
    record = ("perf", "record", "-q", "-F", "997", "-p", str(looking.pid), "-o", data, "--", "sleep", seconds)
    try:
        _, told = await asyncio.gather(looking.load(), told_by(*record))
        told = await told_by("perf", "report", "-i", data, "--stdio", "-q", "-g", "none", "--sort", "dso")
    except Stopped as error:
        return f"By library: {error}"
    counts: defaultdict[str, float] = defaultdict(float)
    for share, name in re.findall(r"^\s*([\d.]+)%\s+(\S.*?)\s*$", told, re.M):
        library = next((words for begins, words in LIBRARIES if re.match(begins, name)), "other libraries")
        counts[library] += float(share)
    return looking.shares("library", dict(sorted(counts.items(), key=lambda item: -item[1])), sum(counts.values()))


async def by_call(looking: Looking) -> str:
    """How many system calls of the main thread a request takes; counting slows them down, so their time is not told."""
    if shutil.which("strace") is None:
        return "System calls: strace is missing (apt-get install strace)."
    log = looking.folder / "strace"
    command = ("strace", "-c", "-o", log, "-p", str(looking.pid))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        await asyncio.sleep(0.5)
        sample = await looking.load()
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
    calls = {
        name: int(count)
        for count, name in re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\S+)$", log.read_text(), re.M)
    }
    most = Counter({name: count for name, count in calls.items() if name != "total"}).most_common(CALLS)
    return table(("system call", "per request"), [(name, f"{count / sample.done:.2f}") for name, count in most])
