"""Two workers against one: how much more they do, and how much more they could on this machine."""

from __future__ import annotations

import os
import resource
import statistics
from contextlib import AsyncExitStack
from pathlib import Path

from bench.forwarding.checks import check
from bench.forwarding.load import Sample, wrk
from bench.forwarding.machine import CORES, LOAD_CORE, cpu_seconds, pin
from bench.forwarding.options import Options
from bench.forwarding.report import Report
from bench.forwarding.rows import REQUESTS, TIMES, Row, Turns, cost, mistakes, rate, ratios
from bench.forwarding.runs import take_turns
from bench.forwarding.sides import Side, bridge, platform

ONE, TWO = "bridge", "bridge, 2 workers"
CONNECTIONS = 64


def children_seconds() -> float:
    """CPU of all programs of the load that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def workers(folder: Path, options: Options, report: Report) -> None:
    """The bridge on the first two cores; the load and the platform on the others, where there are any."""
    others = CORES[2:] or CORES
    sides: dict[str, Side] = {}
    around: list[float] = []
    async with AsyncExitStack() as stack:
        behind = stack.enter_context(platform(folder, 0))
        stack.callback(pin, [os.getpid()], LOAD_CORE)
        pin([os.getpid(), *behind.roots], *others)
        for number in (1, 2):
            _, side = await stack.enter_async_context(bridge(folder, behind.url, workers=number, cores=CORES[:2]))
            await check(side)
            sides[side.name] = side

        async def turn(side: Side) -> Sample:
            before = cpu_seconds(behind.roots) + children_seconds()
            sample = await wrk(side, options.seconds, CONNECTIONS, threads=2)
            around.append((cpu_seconds(behind.roots) + children_seconds() - before) / sample.done)
            return sample

        turns = await take_turns([*sides.values()], options, turn)
        report.sides(REQUESTS, f"1 KiB over {CONNECTIONS} connections", turns, sides)
    note, why = limit(turns, statistics.median(around)), mistakes(turns)
    for what, target, of in (
        ("requests a second: two workers against one", f"close to 2 {TIMES}", rate),
        ("CPU per request of 1 KiB: two workers against one", "", cost),
    ):
        report.row(Row(what, target, values=[] if why else ratios(turns, TWO, ONE, of), note=why or note))


def limit(turns: Turns, around: float) -> str:
    """What the machine leaves for a second worker, where load and platform cost `around` CPU seconds a request."""
    if CORES[2:]:
        return "load and platform had cores of their own"
    one, alone = (statistics.median(of(sample) for sample in turns[ONE]) for of in (cost, rate))
    most = min(2, len(CORES) / (one + around) / alone)
    return (
        f"load and platform took {around * 1e6:.0f} µs per request of the same two cores, "
        f"which leaves at most {most:.2f} {TIMES}"
    )
