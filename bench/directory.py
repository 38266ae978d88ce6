"""What the local copy costs as a tenant grows: to read it all, to read what changed, and to ask it.

    python -m bench.directory [--progressions 10000 100000 1000000 2000000] [--questions 2000] [--rounds 3]
                              [--databases sqlite postgresql]

For each size a simulated Kombo has a tenth as many people as progressions. A process of its own reads everything into
an empty state and then what changed since, and says how much memory it had resident at most and how much CPU it used.
Then, in rounds that go through all the sizes, a process asks each state as a launch does, every learner once, so that
no cache of ours answers: who is this, by remote id and by address, and may they see that course. The machine may be
shared and noisy: quote medians, and CPU rather than time. What PostgreSQL uses itself is not in the CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from bridge.directory.live import Live
from bridge.directory.sync import Sync
from bridge.gate.gate import Gate
from bridge.identity.resolver import Resolver
from bridge.kombo.client import KomboClient
from bridge.kombo.transport import http_client
from bridge.saml.model import Assertion, Attribute
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.store import tables
from bridge.store.engine import Store
from bridge.store.migrate import migrate
from tests.support.deployment import Deployment
from tests.support.postgresql import postgresql
from tests.support.processes import kombo_bridge
from tests.support.states import postgresql_state

SIZES = (10_000, 100_000, 1_000_000, 2_000_000)
PEOPLE_PER_PROGRESSION = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds, MiB and rows of one synchronisation, in a process of its own."""

    rows: int
    wall: float
    cpu: float
    resident: float
    before: float
    delta_wall: float
    delta_rows: int


@dataclass(frozen=True, slots=True)
class Asking:
    """CPU in milliseconds for one resolve and gate check, by tier."""

    remote_id: float
    email: float


def tenant_of(folder: Path, kombo: str) -> Tenant:
    """Acme, with an IdP that says both the id and the address."""
    deployment = Deployment(folder, kombo_url=kombo)
    return deployment.tenant("acme", identity=[{"attribute": "lms_user_id"}, {"email": "mail"}], gate="assigned")


async def read_everything(state: str, tenant: Tenant) -> Reading:
    migrate(state)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    store = Store(state)
    async with http_client() as http:
        client = KomboClient(http, tenant.kombo, tenant.integration_id)
        began, cpu = time.perf_counter(), time.process_time()
        passes = await Sync(store, client, tenant.integration_id).run(full=True)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        began = time.perf_counter()
        delta = await Sync(store, client, tenant.integration_id).run()
        delta_wall = time.perf_counter() - began
    store.close()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = sum(done.rows for done in passes)
    return Reading(rows, wall, cpu, resident, before, delta_wall, sum(done.rows for done in delta))


async def ask(state: str, tenant: Tenant, questions: int, salt: int) -> Asking:
    store = Store(state)

    def nobody(_: Tenant) -> KomboClient:
        raise AssertionError("the directory has the answer to everything that the bench asks")

    live = Live(store, nobody)
    resolver, gate = Resolver(store, live), Gate(store, live)
    sample = await store.read(lambda c: _sample(c, tenant.integration_id, 2 * questions, salt))
    spent: list[float] = []
    half = len(sample) // 2
    for part, name in ((sample[:half], "lms_user_id"), (sample[half:], "mail")):
        began = time.process_time()
        for remote_id, email, course in part:
            value = remote_id if name == "lms_user_id" else email
            match = await resolver.resolve(_assertion(name, value), tenant)
            access = await gate.check(tenant, match.person, course)
            assert match.person and match.person.remote_id == remote_id and access.gate == "fresh"
        spent.append(1000 * (time.process_time() - began) / len(part))
    store.close()
    return Asking(*spent)


def _sample(connection: Connection, integration: str, count: int, salt: int) -> list[tuple[str, str, str]]:
    """People with an address of their own, each with a course that is open to them."""
    user, progression, course = tables.users.c, tables.progressions.c, tables.courses.c
    rows = connection.execution_options(yield_per=1000).execute(
        select(user.remote_id, user.email, course.origin_id)
        .select_from(
            tables.users.join(
                tables.progressions,
                (progression.integration_id == user.integration_id) & (progression.user_id == user.id),
            ).join(
                tables.courses,
                (course.integration_id == progression.integration_id) & (course.id == progression.course_id),
            )
        )
        .where(
            user.integration_id == integration,
            user.email.is_not(None),
            user.status == "ACTIVE",
            course.origin_id.is_not(None),
            progression.status.in_(("ENROLLED", "IN_PROGRESS", "COMPLETED")),
        )
        .limit(50 * count)
    )
    chosen = {row.remote_id: (row.remote_id, row.email, row.origin_id) for row in rows}
    shared = {"sam.lee@acme.com", "ingrid.solberg@acme.com"}
    people = [person for person in chosen.values() if person[1] not in shared]
    random.Random(salt).shuffle(people)
    return people[:count]


def _assertion(name: str, value: str) -> Assertion:
    moment = datetime.now(UTC)
    return Assertion(
        id="_bench",
        issuer="idp",
        subject=None,
        attributes=(Attribute(name, None, (value,)),),
        issued=moment,
        authn_instant=moment,
        session_index=None,
        session_not_on_or_after=None,
        expires=moment + timedelta(minutes=5),
        in_response_to=None,
    )


@contextmanager
def simulated(progressions: int) -> Iterator[str]:
    """The base URL of a simulated Kombo of that size."""
    size = ("--people", str(progressions // PEOPLE_PER_PROGRESSION), "--progressions", str(progressions))
    command = kombo_bridge("simulate", "kombo", "--json", *size)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield str(json.loads(process.stdout.readline())["base_url"])
        finally:
            process.terminate()


def child(what: str, state: str, folder: Path, kombo: str, *more: int) -> Any:
    """What a process of its own found out."""
    command = [sys.executable, "-m", "bench.directory", "--child", what, state, str(folder), kombo, *map(str, more)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(told.stdout.splitlines()[-1])


def _run_child(what: str, state: str, folder: str, kombo: str, *more: str) -> None:
    tenant = tenant_of(Path(folder), kombo)
    assert tenant.integration_id == seed.ACME
    work = read_everything(state, tenant) if what == "read" else ask(state, tenant, int(more[0]), int(more[1]))
    print(json.dumps(asdict(asyncio.run(work))))


def bench(database: str, sizes: list[int], questions: int, rounds: int) -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgresql()) if database == "postgresql" else None
        states: dict[int, str] = {}
        print(f"\n{database}")
        print(f"{'rows':>10} {'read all':>10} {'CPU':>8} {'rows/s':>8} {'resident':>17} {'changes only':>20}")
        for size in sizes:
            folder = home / str(size)
            folder.mkdir()
            states[size] = stack.enter_context(postgresql_state(server)) if server else f"sqlite:///{folder}/bridge.db"
            with simulated(size) as kombo:
                read = Reading(**child("read", states[size], folder, kombo))
            print(
                f"{read.rows:>10} {read.wall:>8.1f} s {read.cpu:>6.1f} s {read.rows / read.wall:>8.0f}"
                f" {read.resident:>6.0f} MiB (+{read.resident - read.before:.0f})"
                f" {read.delta_rows:>8} in {read.delta_wall:.2f} s",
                flush=True,
            )
        asked: dict[int, list[Asking]] = {size: [] for size in sizes}
        for round in range(rounds):
            for size in sizes:
                told = child("ask", states[size], home / str(size), "http://127.0.0.1:9/v1", questions, round)
                asked[size].append(Asking(**told))
        print(f"{'rows':>10} {'CPU by remote id':>18} {'by address':>12}   each with its gate check, uncached")
        for size, found in asked.items():
            middle = [statistics.median(getattr(one, name) for one in found) for name in ("remote_id", "email")]
            print(f"{size:>10} {middle[0]:>15.2f} ms {middle[1]:>9.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--progressions", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _run_child(*arguments.child)
        return
    for database in arguments.databases:
        bench(database, arguments.progressions, arguments.questions, arguments.rounds)


if __name__ == "__main__":
    main()
