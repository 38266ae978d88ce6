"""What ten thousand tenants cost: memory, the start, and a change to one of their files.

    python -m bench.tenants [--tenants 10000] [--rounds 7]

Every tenant has a file, a host, an email domain and an IdP of its own, whose metadata lies beside it. A process of its
own loads them and compiles the front's rules, as each worker does, and follows the files. Then, round by round, one
file changes: how long until its new content is in force, for how long the event loop stood still meanwhile, and whether
the other tenants are still the very same objects, for if not they were read again. Memory is what the kernel says the
process has resident. The machine may be shared and noisy: quote the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bridge.demo.responses import IdpKey, idp_metadata
from bridge.front.cookies import Cookies
from bridge.front.rules import Rules
from bridge.settings.model import Configuration
from bridge.settings.reload import Reloader

SERVICE = """
public_url: https://learn.example.com
upstream: http://127.0.0.1:9000
state: sqlite:///bridge.db
secrets: [a secret of the bench long enough to sign with]
tenants: tenants
kombo: {api_key: key}
"""
TENANT = """
name: Customer %(number)d
kombo: {integration_id: "workday:%(number)d"}
hosts: [%(slug)s.learn.example.com]
email_domains: [%(slug)s.example.com]
saml: {metadata: %(slug)s-idp.xml}
identity: [{attribute: lms_user_id}, {email: mail}]
gate: assigned
"""
TICK = 0.002
IDLE_SECONDS = 5


@dataclass
class Found:
    """In seconds and MiB; a list has one entry a round."""

    tenants: int
    imported: float
    resident: float
    loading: float
    idle: float
    live: list[float] = field(default_factory=list)
    stall: list[float] = field(default_factory=list)
    quiet_stall: list[float] = field(default_factory=list)


def write(folder: Path, tenants: int) -> None:
    """The settings of that many tenants; their IdPs differ, but share a key, as making one takes a while."""
    key = IdpKey.generate()
    (folder / "tenants").mkdir()
    (folder / "bridge.yaml").write_text(SERVICE)
    for number in range(tenants):
        slug = f"customer-{number:05}"
        idp = f"https://idp.{slug}.example.com"
        (folder / "tenants" / f"{slug}.yaml").write_text(TENANT % {"number": number, "slug": slug})
        (folder / "tenants" / f"{slug}-idp.xml").write_bytes(idp_metadata(f"{idp}/saml", key, f"{idp}/sso"))


def resident() -> float:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


class Longest:
    """How long the event loop stood still, at most, since it was last asked."""

    def __init__(self) -> None:
        self._longest = 0.0

    async def watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            self._longest = max(self._longest, time.perf_counter() - before - TICK)

    def take(self) -> float:
        longest, self._longest = self._longest, 0.0
        return longest


async def measure(folder: Path, rounds: int) -> Found:
    imported = resident()
    began = time.perf_counter()
    reloader = Reloader(folder / "bridge.yaml", {})
    cookies = Cookies(secure=True)
    rules = Rules(reloader.configuration, cookies)
    loading = time.perf_counter() - began
    assert not reloader.configuration.broken, "a bench of broken tenants says nothing"
    gc.collect()
    gc.freeze()
    found = Found(len(reloader.configuration.tenants), imported, resident(), loading, 0)
    changes: asyncio.Queue[Configuration] = asyncio.Queue()

    def changed(configuration: Configuration) -> None:
        nonlocal rules
        rules = Rules(configuration, cookies)
        changes.put_nowait(configuration)

    longest = Longest()
    tasks = [asyncio.ensure_future(work) for work in (reloader.watch(changed), longest.watch())]
    before = time.process_time()
    await asyncio.sleep(IDLE_SECONDS)
    found.idle = (time.process_time() - before) / IDLE_SECONDS
    for number in range(rounds):
        found.quiet_stall.append(longest.take())
        await one_change(folder, number, reloader, changes, found)
        found.stall.append(longest.take())
        await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    return found


async def one_change(
    folder: Path, number: int, reloader: Reloader, changes: asyncio.Queue[Configuration], found: Found
) -> None:
    former = reloader.configuration
    slug = list(former.tenants)[(number * 7919) % len(former.tenants)]
    path = folder / "tenants" / f"{slug}.yaml"
    text = path.read_text().replace("name: Customer", "name: Changed customer")
    began = time.perf_counter()
    path.write_text(text)
    now = await asyncio.wait_for(changes.get(), 60)
    found.live.append(time.perf_counter() - began)
    assert now.tenants[slug].name.startswith("Changed"), "another change than the one that was made"
    same = sum(now.tenants[other] is tenant for other, tenant in former.tenants.items())
    assert same == len(former.tenants) - 1, f"{len(former.tenants) - 1 - same} other tenants were read again"


def report(found: Found) -> None:
    def middle(seconds: list[float]) -> str:
        spread = f"[{min(seconds) * 1000:.0f}-{max(seconds) * 1000:.0f}]"
        return f"{statistics.median(seconds) * 1000:8.0f} ms  {spread}"

    print(f"{found.tenants} tenants")
    print(f"{'resident memory':42} {found.resident:8.0f} MiB, of which {found.imported:.0f} before any was loaded")
    print(f"{'loading':42} {found.loading:8.1f} s")
    print(f"{'following the files, nothing changing':42} {found.idle * 100:8.1f} % of a core")
    print(f"{'a changed file is in force after':42} {middle(found.live)}")
    print(f"{'the event loop stands still meanwhile for':42} {middle(found.stall)}")
    print(f"{'and while nothing changes for':42} {middle(found.quiet_stall)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(asdict(asyncio.run(measure(arguments.measure, arguments.rounds)))))
        return
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), arguments.tenants)
        command = [sys.executable, "-m", "bench.tenants", "--measure", name, "--rounds", str(arguments.rounds)]
        told = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    report(Found(**json.loads(told.stdout.splitlines()[-1])))


if __name__ == "__main__":
    main()
