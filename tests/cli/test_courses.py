"""`kombo-bridge courses`, as a user runs it, against a simulated Kombo on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.simulator import seed
from bridge.simulator.app import create
from bridge.simulator.serving import running
from bridge.simulator.world import World
from bridge.store import courses
from bridge.store.engine import Store
from tests.support.deployment import Deployment
from tests.support.terminal import Said

CATALOGUE = """
courses:
  - {origin_id: new, title: "A new course", duration: 1h30m, languages: [en, de-DE]}
  - {origin_id: code-of-conduct, title: Code of Conduct}
"""
DEADLINE = 60


@dataclass
class Office:
    """A folder with a deployment and a catalogue, and the commands that are given there."""

    folder: Path
    world: World
    origin: str

    @property
    def lms(self) -> Any:
        return self.world.integrations[seed.ACME]

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "courses", *arguments, "--config", "bridge.yaml"),
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> Said:
        return await self.end(await self.begin(*arguments))

    async def end(self, process: asyncio.subprocess.Process) -> Said:
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
        return Said(process.returncode or 0, out.decode(), err.decode())

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not happened():
                await asyncio.sleep(0.02)

    def asked(self, method: str, path: str) -> int:
        return sum(1 for each in self.world.requests if each.method == method and path in each.path)

    def states(self) -> dict[str, str]:
        with contextlib.closing(Store(f"sqlite:///{self.folder}/bridge.db")) as store:
            found = store.read_here(lambda c: courses.pushes(c, seed.ACME))
        return {origin_id: push.state for origin_id, push in found.items()}


@pytest_asyncio.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    world = seed.seeded()
    world.task_delay = 0
    async with running(create(world)) as origin:
        Deployment(tmp_path, kombo_url=f"{origin}/v1").write()
        (tmp_path / "catalog.yaml").write_text(CATALOGUE)
        yield Office(tmp_path, world, origin)


async def test_a_catalogue_on_its_way(office: Office) -> None:
    planned = await office.run("push", "catalog.yaml", "--tenant", "acme", "--dry-run", "--json")
    assert planned.code == 0
    assert [(each["due"], each["course_url"]) for each in planned.json] == [
        (True, "http://127.0.0.1:8080/courses/new?tenant=acme"),
        (True, "http://127.0.0.1:8080/courses/code-of-conduct?tenant=acme"),
    ]
    assert not (office.folder / "bridge.db").exists()
    assert not office.world.requests

    office.world.failing_items = {"code-of-conduct": "LMS.COURSE_UPDATE_NOT_SUPPORTED"}
    pushed = await office.run("push", "catalog.yaml", "--tenant", "acme")
    assert pushed.code == 1
    heading, new, conduct, total = pushed.out.splitlines()
    assert heading.split() == ["TENANT", "ORIGIN", "ID", "TITLE", "RESULT", "KOMBO", "ID", "WHY"]
    id = next(course.id for course in office.lms.courses.lms.values() if course.origin_id == "new")
    assert new.split() == ["acme", "new", "A", "new", "course", "pushed", id, "-"]
    assert conduct.startswith("acme    code-of-conduct  Code of Conduct  failed  -")
    assert "LMS.COURSE_UPDATE_NOT_SUPPORTED: " in conduct
    assert total == "acme: 1 failed, 1 pushed"
    assert pushed.err.splitlines() == [
        "acme: 0 of 2 courses done",
        "acme: 2 of 2 courses done",
        "kombo-bridge: 1 of 2 courses did not arrive",
    ]

    office.world.failing_items = {}
    again = await office.run("push", "catalog.yaml", "--tenant", "acme", "--json")
    assert again.code == 0
    assert [(each["origin_id"], each["outcome"]) for each in again.json] == [
        ("new", "unchanged"),
        ("code-of-conduct", "pushed"),
    ]

    closed = await office.run("deactivate", "new", "--tenant", "acme")
    assert (closed.code, closed.out) == (0, f"acme: {id}: closed to new enrollments\n")
    assert "opens it again" in closed.err

    listed = await office.run("list", "--tenant", "acme", "--json")
    assert listed.code == 0
    assert listed.json["as_of"] is None
    assert [(row["origin_id"], row["status"], row["push"]["state"]) for row in listed.json["courses"]] == [
        ("code-of-conduct", "not seen yet", "done"),
        ("new", "inactive", "closed"),
    ]


@pytest.mark.long
async def test_killed_while_kombo_works_it_goes_on(office: Office) -> None:
    office.world.task_delay = 3600
    process = await office.begin("push", "catalog.yaml", "--tenant", "acme")
    await office.until(lambda: office.asked("GET", "/lms/courses/bulk/") > 0)
    process.send_signal(signal.SIGKILL)
    await office.end(process)
    assert office.states() == {"new": "pending", "code-of-conduct": "pending"}
    waiting = await office.run("push", "catalog.yaml", "--tenant", "acme", "--no-wait")
    assert (waiting.code, waiting.out.splitlines()[-1]) == (0, "acme: 2 pending")
    office.world.task_delay = 0
    listed = await office.run("list", "--tenant", "acme")
    assert listed.code == 0
    assert office.states() == {"new": "done", "code-of-conduct": "done"}
    assert "the courses have never been read from Kombo: `kombo-bridge sync --tenant acme`" in listed.out
    assert office.asked("POST", "/lms/courses/bulk") == 1


@pytest.mark.long
async def test_killed_before_kombo_answered_it_is_sent_again(office: Office) -> None:
    office.world.action_delay = 1
    process = await office.begin("push", "catalog.yaml", "--tenant", "acme")
    await office.until(lambda: office.asked("POST", "/lms/courses/bulk") > 0)
    process.send_signal(signal.SIGKILL)
    await office.end(process)
    assert office.states() == {"new": "sending", "code-of-conduct": "sending"}
    office.world.action_delay = 0
    done = await office.run("push", "catalog.yaml", "--tenant", "acme")
    assert (done.code, done.out.splitlines()[-1]) == (0, "acme: 2 pushed")
    assert [course.origin_id for course in office.lms.courses.lms.values()].count("new") == 1


async def test_interrupted_it_says_how_to_go_on(office: Office) -> None:
    office.world.task_delay = 3600
    process = await office.begin("push", "catalog.yaml", "--tenant", "acme")
    await office.until(lambda: office.asked("GET", "/lms/courses/bulk/") > 0)
    process.send_signal(signal.SIGINT)
    done = await office.end(process)
    assert done.code == 130
    assert done.err.splitlines()[-1].startswith("interrupted; what was sent is noted: the next `courses push`")
    assert "Traceback" not in done.err


async def test_time_that_runs_out_is_a_finding(office: Office) -> None:
    office.world.task_delay = 3600
    done = await office.run("push", "catalog.yaml", "--tenant", "acme", "--timeout", "1s")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("kombo-bridge: 2 courses are still under way; what was sent is noted")


async def test_nothing_is_sent_where_anything_is_wrong(office: Office) -> None:
    (office.folder / "catalog.csv").write_text("origin_id,title,path\nfine,Fine,\nx,X,/courses/y\n,Z,\n")
    done = await office.run("push", "catalog.csv", "--tenant", "acme")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("catalog.csv:4: `courses[3].origin_id` is missing: write ")
    (office.folder / "catalog.csv").write_text("origin_id,title,path\nfine,Fine,\nx,X,/courses/y\n")
    done = await office.run("push", "catalog.csv", "--all-tenants")
    assert done.err.splitlines() == [
        f"catalog.csv:3: `courses[2].path`: for {slug}: it leads to the course y, not to x: write its own"
        for slug in ("acme", "globex", "initech", "vandelay")
    ]
    assert not office.world.requests


async def test_every_tenant_at_once(office: Office) -> None:
    done = await office.run("push", "catalog.yaml", "--all-tenants", "--json")
    assert done.code == 0
    assert {(each["tenant"], each["outcome"]) for each in done.json} == {
        (slug, "pushed") for slug in ("acme", "globex", "initech", "vandelay")
    }


async def test_what_kombo_says_moves_no_cursor(office: Office) -> None:
    office.world.failing_task = "X\x1b[2J\r\nY"
    done = await office.run("push", "catalog.yaml", "--tenant", "acme")
    assert done.code == 1
    assert "X�[2J��Y" in done.out
    assert (done.out + done.err).replace("\n", "").isprintable()
    listed = await office.run("list", "--tenant", "acme")
    assert listed.out.replace("\n", "").isprintable()


async def test_a_map_is_imported(office: Office) -> None:
    id = seed.course_id(seed.GLOBEX, "export-controls")
    (office.folder / "map.csv").write_text(f"origin_id,course_id\nexport-controls,{id}\n")
    done = await office.run("map", "import", "map.csv", "--tenant", "globex")
    assert (done.code, done.out) == (0, "globex: 1 course is on the map by this file\n")
    assert "not held against Kombo's courses" in done.err
    listed = await office.run("list", "--tenant", "globex", "--json")
    [row] = listed.json["courses"]
    assert (row["origin_id"], row["course_id"], row["named_by"]) == ("export-controls", id, "import")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("push", "catalog.yaml"), 2),
        (("push", "catalog.yaml", "--tenant", "acme", "--all-tenants"), 2),
        (("push", "catalog.yaml", "--tenant", "acme", "--timeout", "soon"), 2),
        (("push", "catalog.yaml", "--tenant", "nobody\x1b"), 1),
        (("deactivate", "nothing", "--tenant", "acme"), 1),
    ],
)
async def test_wrong_usage_and_what_is_not_there(office: Office, arguments: tuple[str, ...], code: int) -> None:
    done = await office.run(*arguments)
    assert done.code == code
    assert "Traceback" not in done.err
    assert done.err.replace("\n", "").isprintable()
