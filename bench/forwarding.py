"""What forwarding costs: CPU per request of the bridge against nginx's `proxy_pass`, in turns.

    python -m bench.forwarding [--rounds 7] [--seconds 2] [--connections 32]

Everything runs on loopback. The proxy under test has one core to itself, the platform (nginx) and the load (wrk) share
the other. Before anything is timed, each side has to answer, and the bridge has to forward the right identity and to
strip a spoofed one: a wrong answer is not a result. The machine may be shared and noisy, so sides alternate within
each round, and the figures to quote are the medians of the rounds' ratios, never a bare time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bridge.simulator import seed
from tests.support.processes import Running, free_port, started
from tests.support.stage import stage

PROXY_CORE, LOAD_CORE = 0, 1
LEAST_BUSY = 0.3
TICKS = os.sysconf("SC_CLK_TCK")
PATH = "/courses/cybersecurity-101"

PLATFORM = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {inside}
}}
"""
ORIGIN = """
  server {{
    listen 127.0.0.1:{port};
    location /static/who {{ return 200 "$http_x_kombo_user"; }}
    location /my {{ return 200 "$http_x_kombo_user"; }}
    location / {{ return 200 "{body}"; }}
  }}
"""
PROXY = """
  upstream platform {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://platform;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }}
  }}
"""


@dataclass
class Side:
    """One proxy under test. `pid` is the root of its process tree."""

    name: str
    url: str
    pid: int
    cookie: str = ""


@dataclass(frozen=True)
class Round:
    requests: int
    cpu: float
    seconds: float
    p50: str
    errors: int

    @property
    def microseconds(self) -> float:
        """CPU of the whole process tree per request."""
        return self.cpu / self.requests * 1e6


def cpu_seconds(root: int) -> float:
    """User and system time so far of a process and everything below it."""
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
        for task in Path(f"/proc/{pid}/task").iterdir():
            waiting += map(int, (task / "children").read_text().split())
    return total


def measure(side: Side, seconds: int, connections: int) -> Round:
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    headers = ["-H", f"Cookie: {side.cookie}"] if side.cookie else []
    before = cpu_seconds(side.pid)
    told = subprocess.run([*command, *headers, side.url + PATH], capture_output=True, text=True, check=True).stdout
    cpu = cpu_seconds(side.pid) - before
    [(requests, took, unit)] = re.findall(r"(\d+) requests in ([\d.]+)(s|m)", told)
    errors = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", told)))
    errors += sum(int(n) for line in re.findall(r"Socket errors: (.*)", told) for n in re.findall(r"\d+", line))
    [p50] = re.findall(r"^\s+50%\s+(\S+)", told, re.M)
    return Round(int(requests), cpu, float(took) * (60 if unit == "m" else 1), p50, errors)


@contextmanager
def nginx(folder: Path, name: str, core: int, inside: str, port: int) -> Iterator[Running]:
    config = folder / f"{name}.conf"
    config.write_text(PLATFORM.format(folder=folder, name=name, inside=inside))
    command = ["taskset", "-c", str(core), str(shutil.which("nginx")), "-c", config, "-p", folder]
    with started(command, folder / f"{name}.log") as running:
        running.wait_for_port(port)
        yield running


async def check(origin: str, cookie: str) -> None:
    """Refuse to time a bridge that lets a claim through or loses somebody."""
    async with httpx.AsyncClient(base_url=origin, headers={"X-Kombo-User": "evil"}) as client:
        assert (await client.get("/static/who")).text == "", "a spoofed header reached the platform"
        mine = await client.get("/my", headers={"Cookie": cookie})
        assert mine.text == seed.JANE.id, f"the platform was told {mine.text!r}"


def pin(pid: int, core: int) -> None:
    """Hold a process and all its threads to one core."""
    os.sched_setaffinity(pid, {core})
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


async def run(rounds: int, seconds: int, connections: int) -> None:
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upstream, port = free_port(), free_port()
        origin = ORIGIN.format(port=upstream, body="x" * 1024)
        stack.enter_context(nginx(folder, "platform", LOAD_CORE, origin, upstream))
        proxy = PROXY.format(port=port, upstream=upstream)
        peer = stack.enter_context(nginx(folder, "proxy", PROXY_CORE, proxy, port))
        async with stage(folder, upstream=f"http://127.0.0.1:{upstream}") as bridge:
            pin(bridge.bridge.process.pid, PROXY_CORE)
            async with bridge.browser() as browser:
                await browser.sign_in("acme", seed.JANE)
                cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
            await check(bridge.origin, cookie)
            ours = Side("bridge", bridge.origin, bridge.bridge.process.pid, cookie)
            sides = [Side("nginx", f"http://127.0.0.1:{port}", peer.process.pid), ours]
            results: dict[str, list[Round]] = {side.name: [] for side in sides}
            for number in range(rounds + 1):
                for side in sides if number % 2 else reversed(sides):
                    found = await asyncio.to_thread(measure, side, seconds, connections)
                    if number:  # the first round warms up
                        results[side.name].append(found)
            report(results)


def report(results: dict[str, list[Round]]) -> None:
    base = results["nginx"]
    busy = statistics.median(each.cpu / each.seconds for each in base)
    print(f"{'':10} {'req/s':>8} {'p50':>9} {'CPU us/req':>11} {'x nginx':>9}  [min-max of the rounds]  errors")
    for name, rounds in results.items():
        ratios = [each.microseconds / peer.microseconds for each, peer in zip(rounds, base, strict=True)]
        rate = statistics.median(each.requests / each.seconds for each in rounds)
        cpu = statistics.median(each.microseconds for each in rounds)
        middle = sorted(rounds, key=lambda each: each.microseconds)[len(rounds) // 2]
        ratio = (
            f"{statistics.median(ratios):9.2f}  [{min(ratios):.2f}-{max(ratios):.2f}]" if busy >= LEAST_BUSY else "-"
        )
        print(f"{name:10} {rate:8.0f} {middle.p50:>9} {cpu:11.1f} {ratio} {sum(each.errors for each in rounds):>10}")
    if busy < LEAST_BUSY:
        print(f"no ratio: nginx was busy only {busy:.0%} of the time, so the load was the limit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    missing = [program for program in ("nginx", "wrk", "taskset") if shutil.which(program) is None]
    if missing or (os.cpu_count() or 1) < 2:
        sys.exit(f"this needs two cores and, from your distribution: {', '.join(missing) or 'nginx, wrk'}")
    asyncio.run(run(arguments.rounds, arguments.seconds, arguments.connections))


if __name__ == "__main__":
    main()
