"""What forwarding costs, beside others that do the same job.

    python -m bench.forwarding [--write docs/performance.md] [--only requests bulk latency streams workers]
    python -m bench.forwarding profile [--write docs/performance.md]

Everything runs on loopback. The proxy under test has one core to itself; the platform (nginx) and the load (wrk,
h2load) share another. Before anything is timed each side has to tell the platform who asks, and to strip what a client
says of itself: a wrong answer is not a result. Sides alternate within each round, and the figures to quote are the
medians of the rounds' ratios, never a bare time. Every sample is kept as a line of JSON in bench/results.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from bench.forwarding import report, runs
from bench.forwarding.checks import Wrong
from bench.forwarding.load import Stopped
from bench.forwarding.machine import CORES, LOAD_CORE, describe, pin, program
from bench.forwarding.options import PARTS, QUICK, Options
from bench.forwarding.profile import profile
from bench.forwarding.report import Report
from bench.forwarding.streams import streams
from bench.forwarding.workers import workers

NEEDED = {"nginx": "nginx-light", "wrk": "wrk"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Options()
    parser.add_argument("what", nargs="?", choices=["table", "profile"], default="table")
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--seconds", type=int, default=default.seconds, help="of each turn")
    parser.add_argument("--connections", type=int, default=default.connections)
    parser.add_argument("--rate", type=int, default=default.rate, help="requests a second where latency is measured")
    parser.add_argument("--streams", type=int, default=default.streams)
    parser.add_argument("--bulk-mib", type=int, default=default.bulk_mib)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", dest="parts")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table where this document has its place")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder for the lines of JSON")
    parser.add_argument("--quick", action="store_true", help="only see whether it works; its figures are worth nothing")
    return parser.parse_args()


async def table(options: Options, found: Report, folder: Path) -> None:
    if {"requests", "bulk", "latency"} & {*options.parts}:
        async with runs.fielded(folder, options) as field:
            for name, run in (("requests", runs.requests), ("bulk", runs.bulk), ("latency", runs.latency)):
                if name in options.parts:
                    await run(field, options, found)
    for name, alone in (("streams", streams), ("workers", workers)):
        if name in options.parts:
            await alone(folder, options, found)


def main() -> None:
    said = vars(arguments())
    what, path, results, quick = (said.pop(name) for name in ("what", "write", "results", "quick"))
    missing = [package for name, package in NEEDED.items() if program(name) is None]
    if missing:
        sys.exit(f"this needs: apt-get install {' '.join(missing)}")
    if len(CORES) < 2:
        sys.exit("this needs two cores: one for the proxy, one for the load and the platform")
    # A stop by SIGTERM goes the way of Ctrl-C, which ends everything that was started.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    results.mkdir(parents=True, exist_ok=True)
    options = Options(**{**said, "parts": tuple(said["parts"]), **(QUICK if quick else {})})
    about = describe()
    pin([os.getpid()], LOAD_CORE)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)  # nginx and Apache read from it as another user
            if what == "profile":
                text = asyncio.run(profile(folder, options, about))
                (results / f"{report.stamp()}-profile.md").write_text(text + "\n")
            else:
                found = Report(about, results)
                asyncio.run(table(options, found, folder))
                text = found.markdown()
    except KeyboardInterrupt:
        sys.exit(130)
    except (Wrong, Stopped) as error:
        sys.exit(str(error))
    print(f"\n{text}")
    if path:
        report.write(path, what, text)


if __name__ == "__main__":
    main()
