"""Who takes which turns: sides alternate within each round, so that all of them meet the same neighbours."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.forwarding import load
from bench.forwarding.checks import check
from bench.forwarding.envoy import envoy
from bench.forwarding.generated import forward_auth
from bench.forwarding.load import Sample
from bench.forwarding.machine import program
from bench.forwarding.mellon import mellon
from bench.forwarding.options import Options
from bench.forwarding.report import Report
from bench.forwarding.rows import GIGABYTES, REQUESTS, TIMES, Row, compared, mistakes
from bench.forwarding.sides import Missing, Side, bridge, plain_nginx, platform

PLATFORM, NGINX, BRIDGE = "platform", "nginx", "bridge"
MELLON, ENVOY, ASKING = "Apache + mod_auth_mellon", "Envoy + jwt_authn", "nginx + cached forward-auth"

Turn = Callable[[Side], Awaitable[Sample]]


@dataclass
class Field:
    """All sides, up and checked, in front of one platform; `absent` says of each that is not there why."""

    folder: Path
    sides: dict[str, Side] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def these(self, *names: str) -> list[Side]:
        return [self.sides[name] for name in names if name in self.sides]


@asynccontextmanager
async def fielded(folder: Path, options: Options) -> AsyncIterator[Field]:
    """Starts every side that this machine can start. Raises `Wrong` where one does not do what it should."""
    async with AsyncExitStack() as stack:
        behind = stack.enter_context(platform(folder, options.bulk_mib << 20))
        field = Field(folder, {PLATFORM: behind})
        field.sides[NGINX] = stack.enter_context(plain_nginx(folder, behind.url))
        _, field.sides[BRIDGE] = await stack.enter_async_context(bridge(folder, behind.url))
        try:
            field.sides[MELLON] = await stack.enter_async_context(mellon(folder, behind.url))
        except Missing as why:
            field.absent[MELLON] = str(why)
        try:
            field.sides[ENVOY] = stack.enter_context(envoy(folder, behind.url))
        except Missing as why:
            field.absent[ENVOY] = str(why)
        field.sides[ASKING] = await stack.enter_async_context(forward_auth(folder, behind.url))
        for side in field.sides.values():
            await check(side)
        yield field


async def take_turns(sides: Sequence[Side], options: Options, turn: Turn) -> dict[str, list[Sample]]:
    """So many rounds, after one that warms up and counts for nothing."""
    turns: dict[str, list[Sample]] = {side.name: [] for side in sides}
    for number in range(-1 if options.warm else 0, options.rounds):
        first = number % len(sides)
        order = [*sides[first:], *sides[:first]]
        for side in order if number % 2 else reversed(order):
            sample = await turn(side)
            if number >= 0:
                turns[side.name].append(sample)
    return turns


async def requests(field: Field, options: Options, report: Report) -> None:
    sides = field.these(NGINX, BRIDGE, MELLON, ENVOY, ASKING)
    turn = partial(load.wrk, seconds=options.seconds, connections=options.connections)
    turns = await take_turns(sides, options, turn)
    report.sides(REQUESTS, f"1 KiB over {options.connections} connections", turns, field.sides)
    absent = field.absent | dropped(field.sides[BRIDGE])
    for one, other, target, most in (
        (BRIDGE, NGINX, f"3.5 {TIMES}; aim for 2.8", 3.5),
        (BRIDGE, MELLON, f"1.0 {TIMES}; aim for 0.8", 1.0),
        (BRIDGE, ENVOY, f"0.5 {TIMES}", 0.5),
        (ASKING, NGINX, f"2.0 {TIMES}", 2.0),
    ):
        what = f"CPU per request of 1 KiB: {one} against {other}"
        report.row(compared(what, target, most, turns, one, other, absent))


def dropped(side: Side) -> dict[str, str]:
    """Why the side's figures do not count, by its name, where it did not write all of its log."""
    lost = side.log and b"log_lines_dropped" in side.log.read_bytes()
    return {side.name: "no ratio: the log was not written whole"} if lost else {}


async def bulk(field: Field, options: Options, report: Report) -> None:
    turns = await take_turns(field.these(NGINX, BRIDGE), options, load.bulk)
    report.sides(GIGABYTES, f"one download of {options.bulk_mib} MiB", turns, field.sides)
    what = f"CPU per GB of a download of {options.bulk_mib} MiB, against nginx"
    report.row(compared(what, f"0.8 {TIMES}", 0.8, turns, BRIDGE, NGINX, field.absent))


async def latency(field: Field, options: Options, report: Report) -> None:
    """What a side adds is its median latency without the platform's own in the same round."""
    what = f"added p50 at {options.rate}/s, against mod_auth_mellon's"
    row = partial(Row, what, f"1.0 {TIMES}", 1.0)
    if program("h2load") is None:
        report.row(row(note="h2load is missing: apt-get install nghttp2-client"))
        return
    turn = partial(load.fixed_rate, rate=options.rate, seconds=options.seconds + 1, folder=field.folder)
    turns = await take_turns(field.these(PLATFORM, NGINX, BRIDGE, MELLON), options, turn)
    report.sides(REQUESTS, f"{options.rate} requests a second", turns, field.sides)
    added = {
        name: [mine.p50 - direct.p50 for mine, direct in zip(samples, turns[PLATFORM], strict=True)]
        for name, samples in turns.items()
    }
    note = ", ".join(f"{name} adds {statistics.median(each):.0f} µs" for name, each in added.items() if any(each))
    if MELLON not in added:
        report.row(row(note=f"no ratio: mod_auth_mellon is not on this machine; {note}"))
    elif why := mistakes(turns) or ("no ratio: mod_auth_mellon added nothing" if min(added[MELLON]) <= 0 else ""):
        report.row(row(note=f"{why}; {note}"))
    else:
        report.row(
            row(values=[mine / peer for mine, peer in zip(added[BRIDGE], added[MELLON], strict=True)], note=note)
        )
