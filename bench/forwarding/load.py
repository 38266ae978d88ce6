"""What drives a side, and what one turn of it came to. Every program here ends with the turn, whatever ends it."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.forwarding.machine import cpu_seconds, program
from bench.forwarding.sides import BULK, PAGE, Side

UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}
FIXED_RATE_CLIENTS = 20


class Stopped(Exception):
    """A program of the load ended with an error."""


@dataclass(frozen=True)
class Sample:
    """One turn of one side. `done` are requests, or GB; latencies are in microseconds, 0 where not measured."""

    side: str
    done: float
    seconds: float
    cpu: float
    errors: int
    p50: float = 0
    p99: float = 0

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    @property
    def cost(self) -> float:
        """CPU seconds of the whole process tree for each."""
        return self.cpu / self.done

    @property
    def busy(self) -> float:
        """Cores that the process tree kept busy."""
        return self.cpu / self.seconds


async def told_by(*command: str | Path) -> str:
    """What a program said, which is killed when nobody waits any more. Raises `Stopped`."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        told, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Stopped(f"{command[0]}: {complaint.decode(errors='replace').strip() or told.decode(errors='replace')}")
    return told.decode()


async def wrk(side: Side, seconds: int, connections: int, threads: int = 1) -> Sample:
    """As many requests of 1 KiB as it can do over that many connections."""
    headers = [part for header in side.headers for part in ("-H", header)]
    options = [f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    before = cpu_seconds(side.roots)
    told = await told_by("wrk", *options, *headers, side.url + PAGE)
    cpu = cpu_seconds(side.roots) - before
    [(requests, took, unit)] = re.findall(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b", told)
    errors = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", told)))
    errors += sum(int(n) for line in re.findall(r"Socket errors: (.*)", told) for n in re.findall(r"\d+", line))
    p50, p99 = (
        float(number) * UNITS[unit]
        for percent in (50, 99)
        for number, unit in re.findall(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", told, re.M)
    )
    return Sample(side.name, int(requests), float(took) * UNITS[unit] / 1e6, cpu, errors, p50, p99)


async def fixed_rate(side: Side, rate: int, seconds: int, folder: Path) -> Sample:
    """So many requests a second, evenly spread, whether or not the side keeps up.

    Each of the clients has its own beat; they begin a beat's share apart, or their requests would come in bursts.
    """
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    headers = [part for header in side.headers for part in ("-H", header)]
    apart = f"--rate-period={max(1, round(1000 / rate))}ms"
    clients = ["-t1", f"-c{FIXED_RATE_CLIENTS}", "-r1", apart, f"--rps={rate / FIXED_RATE_CLIENTS:g}"]
    options = ["--h1", *clients, f"-n{rate * seconds}", f"--log-file={log}"]
    before = cpu_seconds(side.roots)
    told = await told_by(str(program("h2load")), *options, *headers, side.url + PAGE)
    cpu = cpu_seconds(side.roots) - before
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    errors = rate * seconds - sum(200 <= int(status) < 300 for _, status, *_ in lines)
    times = sorted(float(took) for _, _, took, *_ in lines)
    [took] = re.findall(r"finished in ([\d.]+)s", told)
    return Sample(
        side.name, len(times), float(took), cpu, errors, statistics.median(times), times[int(len(times) * 0.99)]
    )


async def bulk(side: Side) -> Sample:
    """One download of the whole bulk; `done` is in GB (10^9 bytes)."""
    before = cpu_seconds(side.roots)
    told = await told_by(sys.executable, "-m", "bench.forwarding.download", side.url + BULK, *side.headers)
    cpu = cpu_seconds(side.roots) - before
    read = json.loads(told)
    return Sample(side.name, read["bytes"] / 1e9, read["seconds"], cpu, errors=int(read["status"] != 200))
