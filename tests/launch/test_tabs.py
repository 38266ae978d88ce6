"""Many logins of one browser at once."""

from __future__ import annotations

import asyncio
import random

import pytest

from bridge.front.cookies import PARKED
from bridge.simulator import seed
from tests.support.stage import Asked, Stage
from tests.support.window import Kept, Window

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABS = 10
ORDERS = [
    list(range(TABS)),
    list(reversed(range(TABS))),
    [8, 9, 0, 1, 2, 3, 4, 5, 6, 7],
    *[random.Random(n).sample(range(TABS), TABS) for n in range(5)],
]


def logins(window: Window) -> list[str]:
    return [name for name in window.cookies if name.startswith("kombo-bridge-login-")]


def link(n: int, length: int = 0) -> str:
    """A deep link of its own for each tab; a long one is as hard to pack as links get."""
    filling = random.Random(n).randbytes(length).hex()
    return f"/tab/{n}?chapter={n}&{filling[:length]}"


async def follow(window: Window, answer_location: str) -> str:
    """Where the browser ends up on our own site."""
    while answer_location.startswith("/_bridge/"):
        answer = await window.get(answer_location, site="cross-site")
        assert answer.status_code == 303, answer.headers.get("bridge-error")
        answer_location = answer.headers["location"]
    return answer_location


async def finish(window: Window, asked: Asked) -> str:
    return await finish_as(window, asked, "acme", seed.JANE)


async def finish_as(window: Window, asked: Asked, tenant: str, person: seed.Person) -> str:
    done = await window.answer(asked, window.says(tenant, asked, person))
    assert done.status_code == 303, done.text
    return await follow(window, done.headers["location"])


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_ten_tabs_each_land_on_their_own_page_in_any_order(stage: Stage, order: list[int]) -> None:
    async with Window(stage) as window:
        asked = [await window.ask(f"{link(n)}&tenant=acme") for n in range(TABS)]
        assert len(logins(window)) == 8
        for n in order:
            assert await finish(window, asked[n]) == f"{link(n)}&tenant=acme"
            assert len(logins(window)) <= 8
            assert await window.who() == seed.JANE.id
        for n in order:
            assert await finish(window, asked[n]) == f"{link(n)}&tenant=acme", "as does each once more"


async def test_ten_tabs_at_the_same_moment(stage: Stage) -> None:
    """None of them sees the others' cookies when it begins."""
    async with Window(stage) as window:
        asked = await asyncio.gather(*(window.ask(f"{link(n)}&tenant=acme") for n in range(TABS)))
        for n in random.Random(1).sample(range(TABS), TABS):
            assert await finish(window, asked[n]) == f"{link(n)}&tenant=acme"
            assert len(logins(window)) <= 8, "the first answer has made room"


async def test_long_links(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = [await window.ask(f"{link(n, 1_950)}&tenant=acme") for n in range(9)]
        [parked] = [value for name, value in window.cookies.items() if name.startswith(PARKED)]
        assert len(parked) <= 3_072
        line = "; ".join(f"__Host-{name}={value}" for name, value in window.cookies.items())
        assert len(line) < 32 * 1024, "half of what a head may have"
        assert all(len(name) + len(value) < 4_000 for name, value in window.cookies.items()), "what browsers keep"
        for n in range(9):
            assert await finish(window, asked[n]) == f"{link(n, 1_950)}&tenant=acme"


async def test_a_login_that_found_no_room_begins_once_more(stage: Stage) -> None:
    async with Window(stage) as window:
        asked = [await window.ask(f"{link(n, 1_950)}&tenant=acme") for n in range(12)]
        answer = await window.answer(asked[0], window.says("acme", asked[0], seed.JANE))
        fresh = Asked.of(await follow(window, answer.headers["location"]))
        done = await window.answer(fresh, window.says("acme", fresh, seed.JANE))
        assert (done.status_code, done.headers["location"]) == (303, "/"), "where it was going is forgotten"


async def test_where_cookies_are_withheld_parked_logins_are_found_on_our_own_site(stage: Stage) -> None:
    """A browser that keeps cookies without SameSite back from the IdP's POST, as on plain http after two minutes."""
    async with Window(stage) as window:
        asked = [await window.ask(f"{link(n)}&tenant=acme") for n in range(TABS)]
        kept = dict(window.jar)
        window.jar.clear()
        answer = await window.answer(asked[0], window.says("acme", asked[0], seed.JANE))
        window.jar.update(kept)
        fresh = Asked.of(await follow(window, answer.headers["location"]))
        assert await finish(window, fresh) == f"{link(0)}&tenant=acme"
        for n in (5, 1):
            window.jar, kept = {}, window.jar
            answer = await window.answer(asked[n], window.says("acme", asked[n], seed.JANE))
            window.jar.update(kept)
            assert await follow(window, answer.headers["location"]) == f"{link(n)}&tenant=acme", "its session lives"


async def test_ten_tabs_of_two_tenants(stage: Stage) -> None:
    """Whoever has signed in stays signed in until a click says otherwise; then each tab lands on its own page."""
    async with Window(stage) as window:
        tenants = ["acme" if n % 2 else "globex" for n in range(TABS)]
        asked = [await window.ask(f"{link(n)}&tenant={tenant}") for n, tenant in enumerate(tenants)]
        for n in (1, 0, 9, 8):
            person = seed.JANE if tenants[n] == "acme" else seed.RITA
            done = await window.answer(asked[n], window.says(tenants[n], asked[n], person))
            if n != 1:
                page = await window.get(done.headers["location"], site="cross-site")
                assert (page.status_code, "Switch organisation?" in page.text) == (200, True)
                assert await window.who() != person.id
                form = {"next": f"{link(n)}&tenant={tenants[n]}"}
                clicked = await window.post(f"/_bridge/saml/{tenants[n]}/login", form, site="same-origin")
                fresh = Asked.of(clicked.headers["location"])
                done = await window.answer(fresh, window.says(tenants[n], fresh, person))
            assert done.headers["location"] == f"{link(n)}&tenant={tenants[n]}"
            assert await window.who() == person.id


async def test_an_answer_that_was_kept_back_replaces_nobody(stage: Stage) -> None:
    """The IdP of a tenant lets a login lie until somebody of another tenant has signed in."""
    async with Window(stage) as window:
        kept_back = await window.ask("/_bridge/saml/initech/login?next=/theirs", site="cross-site")
        await window.sign_in("acme", seed.JANE, "/my")
        answer = window.says("initech", kept_back, seed.PETER)
        for _ in range(2):
            done = await window.answer(kept_back, answer)
            assert "kombo-bridge-session" not in str(done.headers)
            page = await window.get(done.headers["location"], site="cross-site")
            assert (page.status_code, "Switch organisation?" in page.text) == (200, True)
            assert await window.who() == seed.JANE.id
        await window.get("/_bridge/logout")
        done = await window.answer(kept_back, answer)
        fresh = Asked.of((await window.get(done.headers["location"], site="cross-site")).headers["location"])
        landed = await window.answer(fresh, window.says("initech", fresh, seed.PETER))
        assert landed.headers["location"] == "/theirs", "where nobody is replaced, nobody is asked"


async def test_who_chose_to_switch_is_asked_once_even_where_cookies_are_withheld(stage: Stage) -> None:
    async with Window(stage) as window:
        await window.sign_in("acme", seed.JANE, "/my")
        clicked = await window.post("/_bridge/saml/globex/login", {"next": "/other"}, site="same-origin")
        asked = Asked.of(clicked.headers["location"])
        window.jar, kept = {}, window.jar
        done = await window.answer(asked, window.says("globex", asked, seed.RITA))
        window.jar.update(kept)
        fresh = Asked.of((await window.get(done.headers["location"], site="cross-site")).headers["location"])
        assert await finish_as(window, fresh, "globex", seed.RITA) == "/other"
        assert await window.who() == seed.RITA.id


@pytest.mark.parametrize("since", ["", ".", "x.initech", "9" * 5_000 + ".initech", "-1.initech"])
async def test_what_cannot_be_read_of_a_sign_in_says_nothing(stage: Stage, since: str) -> None:
    async with Window(stage) as window:
        asked = await window.ask("/my?tenant=acme")
        window.put("kombo-bridge-since", since)
        window.jar = {key: Kept(kept.value, "None", None) for key, kept in window.jar.items()}
        assert await finish_as(window, asked, "acme", seed.JANE) == "/my?tenant=acme"
