"""Sessions: opened, found, ended; and the signed values that travel with browsers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from bridge.errors import Problem, SettingsError
from bridge.session import sessions as module
from bridge.session.sessions import Sessions, SignIn
from bridge.session.tokens import Tokens
from bridge.settings.model import Configuration
from bridge.simulator import seed
from tests.support.deployment import SECRET
from tests.support.rooms import Rooms, found_beside


class Desk:
    """Sessions over the rooms, with a configuration that a test can change."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.configuration: Configuration = rooms.deployment.load()
        self.sessions = self.another()

    def another(self) -> Sessions:
        """What a second process would have."""
        return Sessions(self.rooms.store, [SECRET], lambda: self.configuration)

    async def sign_in(self, person: seed.Person = seed.JANE, **more: object) -> str:
        tenant = self.configuration.tenants["acme"]
        sign_in = SignIn(tenant, person.id, None, "name_id", 1, None)
        return await self.sessions.open(replace(sign_in, **more))


@pytest_asyncio.fixture
async def desk(rooms: Rooms) -> AsyncIterator[Desk]:
    desk = Desk(rooms)
    await rooms.sync(desk.configuration.tenants["acme"])
    yield desk


async def test_a_session_is_found_by_its_cookie_here_and_elsewhere(desk: Desk) -> None:
    cookie = await desk.sign_in()
    assert desk.sessions.cached(cookie) is None
    entry = await desk.sessions.find(cookie)
    assert entry is not None
    assert (entry.tenant.slug, entry.person and entry.person.id) == ("acme", seed.JANE.id)
    assert desk.sessions.cached(cookie) is entry
    assert await desk.another().find(cookie) is not None


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: "",
        lambda cookie: "x",
        lambda cookie: cookie[:-1] + ("A" if cookie[-1] != "A" else "B"),
        lambda cookie: "A" + cookie[1:],
        lambda cookie: cookie.split(".")[0],
        lambda cookie: Tokens(["another secret of 32 bytes or more"], "session").sign(cookie.split(".")[0]),
        lambda cookie: Tokens([SECRET], "login").sign(cookie.split(".")[0]),
        lambda cookie: "ü" * 40,
        lambda cookie: "." * 100_000,
    ],
    ids=["empty", "rubbish", "signature", "id", "unsigned", "other secret", "other purpose", "not ascii", "huge"],
)
async def test_a_forged_cookie_is_no_session(desk: Desk, forge: Callable[[str], str]) -> None:
    cookie = await desk.sign_in()
    assert await desk.sessions.find(forge(cookie)) is None


async def test_an_ended_session_is_gone_here_at_once_and_elsewhere_when_the_cache_runs_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHE_SECONDS", 0.2)
    other = desk.another()
    cookie = await desk.sign_in()
    assert await other.find(cookie)
    assert await desk.sessions.find(cookie)
    await desk.sessions.end(cookie)
    assert await desk.sessions.find(cookie) is None
    await asyncio.sleep(0.25)
    assert await other.find(cookie) is None


async def test_a_session_that_ends_while_it_is_looked_up_does_not_come_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = await desk.sign_in()
    ends = desk.sessions.end(cookie)
    assert await found_beside(desk.rooms.store, monkeypatch, desk.sessions.find(cookie), ends) is None
    assert desk.sessions.cached(cookie) is None


async def test_a_session_ends_with_its_lifetime_its_idle_limit_and_the_idps_own_limit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bridge.store.engine import now_ms

    limited = await desk.sign_in(ends_at=now_ms() + 100)
    lasting = await desk.sign_in()
    assert await desk.sessions.find(limited)
    await asyncio.sleep(0.15)
    assert await desk.sessions.find(limited) is None
    assert await desk.sessions.find(lasting)
    desk.rooms.deployment.tenants["acme"]["session"] = {"lifetime": "1h", "idle": "1m"}
    desk.configuration = desk.rooms.deployment.load()
    desk.sessions.forget_cached()
    idle = await desk.sign_in()
    assert await desk.sessions.find(idle)
    ahead = 0
    monkeypatch.setattr("bridge.session.sessions.now_ms", lambda: now_ms() + ahead)
    for _ in range(4):
        ahead += 24_000
        desk.sessions.forget_cached()
        assert await desk.sessions.find(idle), "each use starts the idle time anew"
        await asyncio.gather(*desk.sessions._writing)
    ahead += 66_000
    desk.sessions.forget_cached()
    assert await desk.sessions.find(idle) is None


@pytest.mark.parametrize("change", ["inactive", "deleted"])
async def test_who_is_no_longer_active_loses_a_live_session(desk: Desk, change: str) -> None:
    cookie = await desk.sign_in()
    assert await desk.sessions.find(cookie)
    if change == "inactive":
        await desk.rooms.control(f"users/{seed.JANE.id}", "PATCH", integration=seed.ACME, status="INACTIVE")
    else:
        answer = await desk.rooms.http.delete(
            f"{desk.rooms.origin}/_control/users/{seed.JANE.id}", params={"integration": seed.ACME}
        )
        assert answer.status_code == 200
        await desk.rooms.control("sync")
    await desk.rooms.sync(desk.configuration.tenants["acme"])
    assert await desk.another().find(cookie) is None


async def test_who_matched_nobody_passes_only_while_the_tenant_lets_that_pass(desk: Desk) -> None:
    tenants = desk.rooms.deployment.tenants
    tenants["acme"] |= {"gate": "library", "unmatched": "pass"}
    desk.configuration = desk.rooms.deployment.load()
    cookie = await desk.sign_in(user_id=None, subject="0" * 64)
    assert await desk.sessions.find(cookie)
    tenants["acme"] |= {"unmatched": "deny"}
    desk.configuration = desk.rooms.deployment.load()
    desk.sessions.forget_cached()
    assert await desk.sessions.find(cookie) is None


@pytest.mark.parametrize("change", ["tenant removed", "integration", "provider"])
async def test_changed_trust_ends_the_tenants_sessions(desk: Desk, change: str) -> None:
    cookie = await desk.sign_in()
    assert await desk.sessions.find(cookie)
    tenants = dict(desk.configuration.tenants)
    acme = tenants.pop("acme")
    if change == "integration":
        tenants["acme"] = acme.model_copy(update={"integration_id": "workday:another"})
    if change == "provider":
        tenants["acme"] = acme.model_copy(update={"provider": replace(acme.provider, entity_id="urn:another")})
    desk.configuration = replace(desk.configuration, tenants=tenants)
    desk.sessions.forget_cached()
    assert await desk.sessions.find(cookie) is None


@pytest.mark.parametrize("back", [True, False], ids=["expired metadata", "removed"])
async def test_sessions_rest_while_a_tenant_cannot_be_served_and_end_with_its_file(desk: Desk, back: bool) -> None:
    cookie, former = await desk.sign_in(), desk.configuration
    others = {slug: tenant for slug, tenant in former.tenants.items() if slug != "acme"}
    expired = SettingsError(Problem("acme.yaml", 1, "`saml.metadata`: it was valid until yesterday"))
    desk.configuration = replace(former, tenants=others, broken={"acme": expired} if back else {})
    desk.sessions.take_over(former, desk.configuration)
    assert await desk.sessions.find(cookie) is None
    await asyncio.sleep(0.2)
    changed, desk.configuration = desk.configuration, former
    desk.sessions.take_over(changed, former)
    assert (await desk.another().find(cookie) is not None) is back


async def test_secrets_rotate_without_ending_sessions(desk: Desk) -> None:
    cookie = await desk.sign_in()
    new = "a new secret of the tests, put in front of it"
    rotated = Sessions(desk.rooms.store, [new, SECRET], lambda: desk.configuration)
    assert await rotated.find(cookie)
    assert await Sessions(desk.rooms.store, [new], lambda: desk.configuration).find(cookie) is None


async def test_the_store_holds_no_cookie(desk: Desk) -> None:
    cookie = await desk.sign_in()
    content = (desk.rooms.deployment.folder / "bridge.db").read_bytes()
    wal = desk.rooms.deployment.folder / "bridge.db-wal"
    content += wal.read_bytes() if wal.exists() else b""
    assert seed.JANE.id.encode() in content
    assert cookie.split(".")[0].encode() not in content


def test_one_signed_value_cannot_stand_for_another() -> None:
    one, other = Tokens([SECRET], "one"), Tokens([SECRET], "other")
    assert one.unsign(one.sign("x")) == "x"
    assert other.unsign(one.sign("x")) is None
    assert one.load(one.dump({"a": 1}), 60) == {"a": 1}
    assert other.load(one.dump({"a": 1}), 60) is None
    assert one.load(one.sign("x"), 60) is None
    assert one.unsign(one.dump({"a": 1})) is None


@pytest.mark.parametrize(
    "respell", [lambda t: t[:-20] + "\r\n" + t[-20:], lambda t: t + "=", lambda t: t[:-1] + _next(t[-1])]
)
def test_a_signed_value_has_one_spelling(respell: Callable[[str], str]) -> None:
    tokens = Tokens([SECRET], "one")
    assert tokens.unsign(respell(tokens.sign("x"))) is None
    assert tokens.load(respell(tokens.dump({"a": 1})), 60) is None


def _next(letter: str) -> str:
    """The letter whose bits differ from another's only in the last: a signature's last letter has two bits to spare."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) ^ 1]


async def test_signed_values_expire() -> None:
    tokens = Tokens([SECRET], "one")
    signed, dumped = tokens.sign("x"), tokens.dump({"a": 1})
    await asyncio.sleep(2.1)
    assert tokens.unsign(signed, 1) is None
    assert tokens.load(dumped, 1) is None
    assert tokens.unsign(signed, 60) == "x"
