"""Sessions that an IdP ends by name, and what is remembered for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from bridge.errors import Code, SamlRefusal, StateError
from bridge.saml.logout import LogoutRequest
from bridge.saml.model import Endpoint, NameId
from bridge.session import sessions as module
from bridge.session.sessions import Sessions, SignIn
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.store import sessions as rows
from bridge.store.engine import moment_ms
from bridge.store.sessions import SessionRow
from tests.support.deployment import SECRET
from tests.support.rooms import Rooms, found_beside

JANE = NameId("jane", "urn:format", "urn:idp", "urn:sp")
ENDPOINT = Endpoint("redirect", "https://idp.example/slo")


class Desk:
    """Sessions of acme, whose IdP may be told of logouts."""

    def __init__(self, rooms: Rooms, *, told: bool = False, offered: bool = True) -> None:
        self.rooms = rooms
        self.told = told
        self.offered = offered
        self.configuration = rooms.deployment.load()
        for slug in ("acme", "globex"):
            self.change(slug, self._with_logout(self.tenant(slug)))
        self.sessions = self.another()
        self._serial = iter(range(1000))

    def _with_logout(self, tenant: Tenant) -> Tenant:
        provider = replace(tenant.provider, logout=(ENDPOINT,) if self.offered else ())
        saml = tenant.saml.model_copy(update={"single_logout": self.told})
        return tenant.model_copy(update={"provider": provider, "saml": saml})

    def tenant(self, slug: str = "acme") -> Tenant:
        return self.configuration.tenants[slug]

    def change(self, slug: str, tenant: Tenant) -> None:
        tenants = {**self.configuration.tenants, slug: tenant}
        self.configuration = replace(self.configuration, tenants=tenants)

    def another(self) -> Sessions:
        """What a second process would have."""
        return Sessions(self.rooms.store, [SECRET], lambda: self.configuration)

    async def sign_in(self, name: NameId | None = JANE, index: str | None = None, **more: object) -> str:
        person = seed.JANE
        sign_in = SignIn(self.tenant(), person.id, None, "name_id", 1, None, name, index, moment_ms(datetime.now(UTC)))
        return await self.sessions.open(replace(sign_in, **more))

    async def row(self, cookie: str) -> SessionRow | None:
        return await self.rooms.store.read(lambda c: rows.find(c, module.session_name(cookie)))

    def request(self, name: NameId = JANE, *indexes: str, ago: float = 10, id: str | None = None) -> LogoutRequest:
        issued = datetime.now(UTC) - timedelta(seconds=ago)
        id = id or f"_{next(self._serial)}"
        return LogoutRequest(id, name, indexes, None, "post", issued, issued + timedelta(minutes=5))


@pytest_asyncio.fixture
async def desk(rooms: Rooms) -> AsyncIterator[Desk]:
    desk = Desk(rooms)
    await rooms.sync(desk.tenant())
    yield desk


async def test_every_session_of_a_name_ends_here_at_once_and_elsewhere_when_the_cache_runs_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHE_SECONDS", 0.2)
    other = desk.another()
    mine = [await desk.sign_in(), await desk.sign_in(index="_i"), await desk.sign_in(NameId("jane"))]
    theirs = [await desk.sign_in(NameId("john")), await desk.sign_in(None)]
    for cookie in (*mine, *theirs):
        assert await desk.sessions.find(cookie)
        assert await other.find(cookie)
    ended = await desk.sessions.end_by_idp(desk.tenant(), desk.request())
    assert ended == {module.session_name(cookie) for cookie in mine}
    assert [desk.sessions.cached(cookie) for cookie in mine] == [None] * 3
    assert [await desk.sessions.find(cookie) for cookie in mine] == [None] * 3
    await asyncio.sleep(0.25)
    assert [await other.find(cookie) for cookie in mine] == [None] * 3
    for cookie in theirs:
        assert desk.sessions.cached(cookie) or await desk.sessions.find(cookie)
        assert await other.find(cookie)


@pytest.mark.parametrize(
    "name",
    [
        NameId("jane"),
        NameId("jane", "urn:other-format"),
        NameId("jane", None, "urn:other"),
        NameId("jane", "urn:format", "urn:idp", "urn:other"),
    ],
)
async def test_a_name_is_its_value_whatever_the_idp_leaves_out(desk: Desk, name: NameId) -> None:
    await desk.sign_in()
    assert len(await desk.sessions.end_by_idp(desk.tenant(), desk.request(name))) == 1


@pytest.mark.parametrize("value", ["Jane", "jane ", "jan", "", "jane\0", "ja\u0301ne"])
async def test_another_value_is_another_name(desk: Desk, value: str) -> None:
    await desk.sign_in()
    assert not await desk.sessions.end_by_idp(desk.tenant(), desk.request(NameId(value)))


async def test_where_indexes_are_named_only_those_sessions_end(desk: Desk) -> None:
    one, two, three = await desk.sign_in(index="_1"), await desk.sign_in(index="_2"), await desk.sign_in(index="_3")
    unsaid = await desk.sign_in(index="")
    ended = await desk.sessions.end_by_idp(desk.tenant(), desk.request(JANE, "_1", "_3", "_9"))
    assert ended == {module.session_name(cookie) for cookie in (one, three, unsaid)}
    assert await desk.sessions.find(two)


async def test_another_tenants_sessions_and_those_of_another_idp_stay(desk: Desk) -> None:
    globex = desk.tenant("globex")
    elsewhere = await desk.sign_in(tenant=globex)
    acme = desk.tenant()
    former = acme.model_copy(update={"provider": replace(acme.provider, entity_id="urn:former")})
    before = await desk.sign_in(tenant=former)
    assert not await desk.sessions.end_by_idp(acme, desk.request())
    assert await desk.row(elsewhere)
    assert await desk.row(before)


async def test_the_same_request_ends_nothing_again(desk: Desk) -> None:
    await desk.sign_in()
    request = desk.request(id="_once")
    assert await desk.sessions.end_by_idp(desk.tenant(), request)
    again = await desk.sign_in()
    for sessions in (desk.sessions, desk.another()):
        assert not await sessions.end_by_idp(desk.tenant(), request)
    assert await desk.sessions.find(again)
    assert await desk.sessions.end_by_idp(desk.tenant(), replace(request, id="_twice")), "another one does"
    globex = await desk.sign_in(tenant=desk.tenant("globex"))
    assert await desk.sessions.end_by_idp(desk.tenant("globex"), request), "ids are each IdP's own"
    assert await desk.row(globex) is None


async def test_a_request_that_could_not_be_obeyed_may_come_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = await desk.sign_in()
    request = desk.request()

    def fail(*_: object) -> frozenset[str]:
        raise StateError("no state")

    with monkeypatch.context() as patch:
        patch.setattr(rows, "end_name", fail)
        with pytest.raises(StateError):
            await desk.sessions.end_by_idp(desk.tenant(), request)
    assert await desk.sessions.find(cookie)
    assert await desk.sessions.end_by_idp(desk.tenant(), request)


async def test_a_session_that_is_ended_by_name_while_it_is_looked_up_does_not_come_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = await desk.sign_in()
    ends = desk.sessions.end_by_idp(desk.tenant(), desk.request())
    assert await found_beside(desk.rooms.store, monkeypatch, desk.sessions.find(cookie), ends) is None
    assert desk.sessions.cached(cookie) is None


async def test_an_assertion_from_before_a_logout_opens_no_session_after_it(desk: Desk) -> None:
    request = desk.request(ago=10)
    issued = moment_ms(request.issued)
    await desk.sessions.end_by_idp(desk.tenant(), request)
    for moment in (issued - 60_000, issued - 1):
        with pytest.raises(SamlRefusal) as refused:
            await desk.sign_in(issued_at=moment)
        assert refused.value.code is Code.LOGIN_EXPIRED
    for moment in (issued, issued + 1000):
        assert await desk.sessions.find(await desk.sign_in(issued_at=moment)), "the IdP has let the person in again"
    assert await desk.sign_in(NameId("john"), issued_at=issued - 60_000), "nobody else is concerned"
    assert await desk.sign_in(tenant=desk.tenant("globex"), issued_at=issued - 60_000)
    await desk.sessions.end_by_idp(desk.tenant(), desk.request(ago=100))
    with pytest.raises(SamlRefusal):
        await desk.sign_in(issued_at=issued - 1)


async def test_a_renewed_session_is_the_same_persons(desk: Desk) -> None:
    """As one that waited for a click becomes: a logout ends it, before and after."""
    renewed = await desk.sessions.renew(await desk.sign_in(), None)
    assert renewed is not None
    waiting = await desk.sign_in()
    assert len(await desk.sessions.end_by_idp(desk.tenant(), desk.request())) == 2
    assert await desk.sessions.find(renewed) is None
    assert await desk.sessions.renew(waiting, None) is None


@pytest.mark.parametrize(("told", "offered"), [(True, False), (False, True), (False, False)])
async def test_a_name_is_not_kept_in_clear_where_nobody_needs_it(rooms: Rooms, told: bool, offered: bool) -> None:
    desk = Desk(rooms, told=told, offered=offered)
    cookie = await desk.sign_in(index="_i")
    row = await desk.row(cookie)
    assert row is not None
    assert row.name_id is None
    assert row.session_index == "_i"
    assert "jane" not in str(row)
    assert await desk.sessions.end(cookie) is None
    assert await desk.row(cookie) is None


async def test_a_session_that_ends_says_what_the_idp_calls_it_where_the_idp_is_to_be_told(rooms: Rooms) -> None:
    desk = Desk(rooms, told=True)
    first, second, nameless = await desk.sign_in(index="_i"), await desk.sign_in(), await desk.sign_in(None)
    at_idp = await desk.sessions.end(first)
    assert at_idp is not None
    assert (at_idp.tenant, at_idp.name, at_idp.session_index) == (desk.tenant(), JANE, "_i")
    assert await desk.sessions.end(first) is None, "only once"
    assert await desk.sessions.end(nameless) is None
    assert await desk.sessions.end(second[:-1]) is None
    acme = desk.tenant()
    desk.change("acme", acme.model_copy(update={"provider": replace(acme.provider, entity_id="urn:another")}))
    assert await desk.sessions.end(second) is None, "another IdP is told nothing of the former's people"
    assert await desk.row(second) is None
