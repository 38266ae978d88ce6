"""What counts as a completion: every condition of the contract's section 5, over a real gate, outbox and Kombo."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from structlog.testing import capture_logs

from bridge.errors import Code, Refusal, StateError
from bridge.exchange import Forward, Head, Header
from bridge.front import completions as module
from bridge.front.completions import Completions, Met, met_by
from bridge.front.enrollments import Enrollments
from bridge.front.places import Place
from bridge.front.routes import RouteTable
from bridge.outbox.outbox import Outbox
from bridge.session.sessions import Entry
from bridge.settings.model import Tenant
from bridge.settings.routes import CompletionRule, Route
from bridge.simulator import seed
from bridge.store import outbox as rows
from bridge.store.lookups import Person
from bridge.store.sessions import SessionRow
from tests.support.rooms import Rooms

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("told.yaml").read_text("utf-8"))
FORWARD = Forward(b"", personal=True)
HEAD = Head(b"POST", b"/", [])
CYBER, PRIVACY = "cybersecurity-101", "data-privacy-basics"


def named(*groups: str) -> Iterable[Any]:
    return [pytest.param(case, id=case["name"]) for group in groups for case in CASES[group]]


def written(text: str) -> str:
    return re.sub(r"\{(.+?)\*(\d+)\}", lambda found: found[1] * int(found[2]), text)


def told(case: dict[str, Any]) -> list[Header]:
    lines = [(b"X-Kombo-Complete", value) for value in case.get("C", ())]
    lines += [(b"x-KOMBO-score", value) for value in case.get("S", ())]
    return [(name, written(value).encode()) for name, value in lines]


class Room:
    """Completions over real rooms."""

    def __init__(self, rooms: Rooms, tenant: Tenant, *, header: bool = True) -> None:
        self.rooms = rooms
        self.tenant = tenant
        outbox = Outbox(rooms.store)
        self.completions = Completions(rooms.gate, outbox, Enrollments(outbox), believes_header=header)

    def entry(self, person: Person | None) -> Entry:
        user_id = person.id if person else None
        row = SessionRow("d", self.tenant.slug, self.tenant.integration_id, "idp", user_id, "s", "name_id", 1, 1, 1, 1)
        return Entry(row, self.tenant, person, until=1.0)

    async def answered(
        self,
        who: seed.Person | None,
        status: int = 200,
        said: Iterable[Header] = (),
        *,
        met: Met | None = None,
        course: str | None = None,
        forward: Forward = FORWARD,
    ) -> list[tuple[str, str, int | None]]:
        """The platform's answer to somebody; what is in the outbox then, as (course, source, score)."""
        entry = self.entry(await self.rooms.person(who) if who else None)
        standing = Forward(forward.identity, forward.personal, witness=self.completions.witness(entry, course))
        watched = self.completions.watched(standing if forward.personal else forward, entry, course, HEAD, met)
        if watched.witness and (waits := watched.witness.answered(status, list(said))):
            await waits
        found = await self.rooms.store.read(lambda connection: rows.listed(connection, 0))
        return [(entry.course, entry.source, entry.score) for entry in found]


@pytest_asyncio.fixture
async def room(rooms: Rooms) -> Room:
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    return Room(rooms, tenant)


def own(course: str, status: int | None = None) -> Met:
    return Met(course, status, own=True)


async def test_a_rule_that_was_met_counts(room: Room) -> None:
    assert await room.answered(seed.JANE, met=own(CYBER)) == [(CYBER, "traffic", None)]


async def test_the_same_again_is_one_entry(room: Room) -> None:
    for _ in range(3):
        assert await room.answered(seed.JANE, met=own(CYBER)) == [(CYBER, "traffic", None)]


async def test_nothing_but_success_counts(room: Room) -> None:
    for status in (300, 303, 304, 400, 404, 500, 503):
        assert await room.answered(seed.JANE, status, told({"C": [CYBER]}), met=own(CYBER)) == []
    assert len(await room.answered(seed.JANE, 299, met=own(CYBER))) == 1


async def test_a_rule_with_a_status_wants_exactly_that(room: Room) -> None:
    for status in (200, 302, 404):
        assert await room.answered(seed.JANE, status, met=own(CYBER, 303)) == []
    assert len(await room.answered(seed.JANE, 303, met=own(CYBER, 303))) == 1


async def test_a_gate_that_is_shut(room: Room) -> None:
    with capture_logs() as logs:
        assert await room.answered(seed.HUGO, met=own(CYBER)) == []
        assert await room.answered(seed.JANE, met=own(PRIVACY), course=CYBER) == []
        assert await room.answered(seed.JANE, 200, told({"C": [PRIVACY]}), course=CYBER) == []
        assert await room.answered(seed.JANE, met=own("no-such-course")) == []
    assert [line["event"] for line in logs] == ["completion_not_counted"] * 4


async def test_an_open_gate_is_not_asked_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    async def shut(*_: object) -> None:
        raise Refusal(Code.NOT_ENROLLED, "shut")

    monkeypatch.setattr(room.rooms.gate, "check", shut)
    assert await room.answered(seed.JANE, met=own(CYBER)) == []
    assert len(await room.answered(seed.JANE, met=own(CYBER), course=CYBER)) == 1


async def test_a_library_is_open_to_everybody_but_what_kombo_does_not_have_is_nothing(room: Room) -> None:
    library = Room(room.rooms, room.rooms.deployment.tenant("acme", gate="library"))
    assert len(await library.answered(seed.HUGO, met=own(CYBER))) == 1
    assert len(await library.answered(seed.HUGO, met=own("no-such-course"), course="no-such-course")) == 1


async def test_nobody_whom_kombo_knows(room: Room) -> None:
    library = Room(room.rooms, room.rooms.deployment.tenant("acme", gate="library", unmatched="pass"))
    assert await library.answered(None, 200, told({"C": [CYBER]}), met=own(CYBER), course=CYBER) == []


async def test_another_sites_request(room: Room) -> None:
    with capture_logs() as logs:
        assert await room.answered(seed.JANE, met=Met(CYBER, None, own=False)) == []
        assert await room.answered(seed.JANE, 404, met=Met(CYBER, None, own=False)) == []
    [line] = logs
    assert (line["event"], line["course"]) == ("completion_not_counted", CYBER)


async def test_an_origin_id_without_end(room: Room) -> None:
    library = Room(room.rooms, room.rooms.deployment.tenant("acme", gate="library"))
    with capture_logs() as logs:
        assert await library.answered(seed.JANE, met=own("a" * 513)) == []
    assert logs[0]["reason"] == "the origin id has 513 characters"


async def test_a_header_counts(room: Room) -> None:
    said = told({"C": [CYBER], "S": ["85"]})
    assert await room.answered(seed.JANE, 200, said) == [(CYBER, "header", 85)]


async def test_a_header_needs_the_setting(rooms: Rooms) -> None:
    await rooms.sync(tenant := rooms.deployment.tenant("acme"))
    room = Room(rooms, tenant, header=False)
    assert room.completions.witness(room.entry(await rooms.person(seed.JANE)), CYBER) is None
    assert await room.answered(seed.JANE, 200, told({"C": [CYBER]})) == []
    assert await room.answered(seed.JANE, 200, told({"C": [PRIVACY]}), met=own(CYBER)) == [(CYBER, "traffic", None)]


async def test_a_header_needs_a_request_with_identity(room: Room) -> None:
    public, said = Forward(b""), told({"C": ["code-of-conduct"]})
    assert await room.answered(seed.CARLOS, 200, said, forward=public) == []
    found = await room.answered(seed.CARLOS, 200, said, met=own(PRIVACY), forward=public)
    assert found == [(PRIVACY, "traffic", None)]


async def test_a_header_and_a_rule(room: Room) -> None:
    said = told({"C": [CYBER], "S": ["85"]})
    assert await room.answered(seed.CARLOS, 200, said, met=own(PRIVACY)) == [(PRIVACY, "traffic", None)]
    found = await room.answered(seed.JANE, 200, said, met=own(CYBER))
    assert found[1:] == [(CYBER, "header", 85)]


def reported(case: dict[str, Any]) -> tuple[list[module.Report], list[str]]:
    dropped: list[str] = []
    return module._said(told(case), dropped.append), dropped


@pytest.mark.parametrize("case", named("counts"))
def test_headers_that_count(case: dict[str, Any]) -> None:
    assert reported(case) == ([module.Report(written(case["course"]), "header", case.get("score"))], [])


@pytest.mark.parametrize("case", named("score_dropped"))
def test_a_bad_score_is_dropped_and_the_completion_stays(case: dict[str, Any]) -> None:
    reports, dropped = reported(case | {"C": [CYBER]})
    assert reports == [module.Report(CYBER, "header")]
    assert len(dropped) == 1


@pytest.mark.parametrize("case", named("nothing"))
def test_headers_that_say_nothing(case: dict[str, Any]) -> None:
    assert reported(case) == ([], [])


@pytest.mark.parametrize("case", named("not_counted"))
def test_headers_that_do_not_count(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="X-Kombo-Complete"):
        reported(case)


async def test_a_bad_header_does_not_harm_the_rule(room: Room) -> None:
    with capture_logs() as logs:
        assert await room.answered(seed.JANE, 200, told({"C": ["%zz"]}), met=own(CYBER)) == [(CYBER, "traffic", None)]
    assert "completion_not_counted" in [line["event"] for line in logs]


class Broken(Outbox):
    async def complete(self, *_: Any, **__: Any) -> str:
        raise StateError("the state could not be written: disk full")


async def test_what_cannot_be_kept_is_refused(rooms: Rooms) -> None:
    await rooms.sync(tenant := rooms.deployment.tenant("acme"))
    room = Room(rooms, tenant)
    outbox = Broken(rooms.store)
    room.completions = Completions(rooms.gate, outbox, Enrollments(outbox), believes_header=True)
    with capture_logs() as logs, pytest.raises(Refusal, match="disk full") as caught:
        await room.answered(seed.JANE, met=own(CYBER))
    assert caught.value.status == 503
    [line] = logs
    assert (line["event"], line["user"], line["course"]) == ("completion_not_kept", seed.JANE.id, CYBER)
    assert "disk full" in line["reason"]


async def test_what_takes_too_long_is_refused(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORD_SECONDS", 0.01)
    monkeypatch.setattr(room.rooms.gate, "check", lambda *_: asyncio.sleep(60))
    with pytest.raises(Refusal) as caught:
        await room.answered(seed.JANE, met=own(CYBER))
    assert caught.value.status == 503


async def test_what_nobody_can_know_now_is_refused_and_not_lost(rooms: Rooms) -> None:
    """Nothing has been synced, and Kombo is down."""
    tenant = rooms.deployment.tenant("acme")
    await rooms.sync(tenant)
    jane = await rooms.person(seed.JANE)
    tenant = rooms.deployment.tenant("globex")
    room = Room(rooms, tenant)
    await rooms.control("down", value=True)
    met = own("code-of-conduct")
    watched = room.completions.watched(FORWARD, room.entry(jane), None, HEAD, met)
    assert watched.witness is not None
    waits = watched.witness.answered(200, [])
    assert waits is not None
    with pytest.raises(Refusal) as caught:
        await waits
    assert caught.value.code is Code.ENROLLMENT_UNKNOWN


ORIGIN = "https://learn.example.com"
RULES = (
    CompletionRule(method="POST", path="/courses/{course}/finish"),
    CompletionRule(method="GET", path="/done/{course}", status="303"),
)
TABLE = RouteTable([Route(path="/**", access="learner")], RULES)


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": ORIGIN}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": ORIGIN}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "Same-Origin"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://learn.example.com.evil.example"}, False),
        ({"Origin": "http://learn.example.com"}, False),
        ({"Origin": "https://learn.example.com:8443"}, False),
        ({"Origin": "https://learn.example.com/"}, False),
        ({"Origin": "https://acme.learn.example.com"}, False),
        ({"Referer": f"{ORIGIN}/courses/a"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Purpose": "prefetch"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Purpose": "prefetch;prerender"}, False),
    ],
)
@pytest.mark.parametrize(("method", "target"), [(b"POST", b"/courses/a/finish"), (b"GET", b"/done/a")])
def test_whose_page_made_the_request(method: bytes, target: bytes, fields: dict[str, str], counts: bool) -> None:
    head = Head(method, target, [(name.encode(), value.encode()) for name, value in fields.items()])
    met = met_by(head, TABLE.match(target.decode()), Place(ORIGIN), RULES)
    assert met is not None
    assert (met.course, met.own, met.status) == ("a", counts, None if method == b"POST" else 303)


@pytest.mark.parametrize(
    ("method", "target"),
    [(b"GET", "/courses/a/finish"), (b"post", "/courses/a/finish"), (b"HEAD", "/done/a"), (b"POST", "/courses/a")],
)
def test_what_meets_no_rule(method: bytes, target: str) -> None:
    head = Head(method, target.encode(), [(b"Sec-Fetch-Site", b"same-origin")])
    assert met_by(head, TABLE.match(target), Place(ORIGIN), RULES) is None
