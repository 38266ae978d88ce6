from __future__ import annotations

import itertools
import random
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.exchange import Head
from bridge.front import underway
from bridge.front.cookies import PARKED, Cookies
from bridge.front.underway import AT_ONCE, LIFETIME_SECONDS, PARKED_CHARACTERS, USED_SECONDS, Login, Underway
from bridge.session.tokens import Tokens

SECRETS = ["a secret of the tests, long enough to sign with"]
COOKIES = Cookies(secure=True)
KEEPER = Underway(SECRETS, COOKIES)


def login(n: int, next: str = "/x", **more: object) -> Login:
    token = random.Random(n).randbytes(16).hex()[:22]
    return Login("acme", f"_{n:040}", next, token, 1, time.time_ns() // 1_000_000 + n, **more)


class Jar(dict[str, str]):
    """A browser's cookies, by full name."""

    @property
    def head(self) -> Head:
        line = "; ".join(f"{name}={value}" for name, value in self.items())
        return Head(b"GET", b"/", [(b"Cookie", line.encode())])

    def keep(self, written: list[tuple[str, str]]) -> None:
        for _, line in written:
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            self.pop(name, None)
            if "Max-Age=0" not in attributes:
                self[name] = value

    def put(self, login: Login, **more: Login) -> None:
        self.keep(KEEPER.put(self.head, login, COOKIES, **more))

    def finds(self, login: Login) -> bool:
        return KEEPER.find(self.head, login.token) == login

    @property
    def packs(self) -> list[str]:
        return [value for name, value in self.items() if PARKED in name]

    @property
    def own(self) -> int:
        return sum("login" in name for name in self)


def test_the_ninth_is_parked_and_found_all_the_same() -> None:
    jar, logins = Jar(), [login(n) for n in range(20)]
    for n, each in enumerate(logins):
        jar.put(each)
        assert jar.own == min(n + 1, AT_ONCE)
        assert all(len(pack) <= PARKED_CHARACTERS for pack in jar.packs)
        assert len(jar.packs) == (n >= AT_ONCE)
    assert all(jar.finds(each) for each in logins)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_requests_at_the_same_moment_undo_nothing_of_one_another(order: tuple[int, ...]) -> None:
    """Each of three sees the cookies from before the others; their answers come in any order."""
    jar, logins = Jar(), [login(n) for n in range(14)]
    for each in logins[:10]:
        jar.put(each)
    heads = [jar.head, jar.head, jar.head]
    written = [KEEPER.put(head, logins[10 + n], COOKIES) for n, head in enumerate(heads)]
    for n in order:
        jar.keep(written[n])
    assert all(jar.finds(each) for each in logins[:13])
    jar.put(logins[13])
    assert all(jar.finds(each) for each in logins)
    assert (jar.own, len(jar.packs)) == (AT_ONCE, 1), "and the next one clears up"


def test_what_one_parked_while_another_read_it_stays() -> None:
    """Two answers whose requests saw different cookies, the older one last."""
    jar, logins = Jar(), [login(n) for n in range(12)]
    for each in logins[:9]:
        jar.put(each)
    early = KEEPER.put(jar.head, logins[9], COOKIES)
    for each in logins[10:]:
        jar.put(each)
    jar.keep(early)
    assert all(jar.finds(each) for each in logins)


def test_what_no_longer_fits_is_forgotten_oldest_first() -> None:
    jar, logins = Jar(), [login(n, "/" + random.Random(n).randbytes(400).hex()) for n in range(30)]
    for each in logins:
        jar.put(each)
    found = [jar.finds(each) for each in logins]
    assert found == sorted(found)
    assert AT_ONCE < sum(found) < len(logins)
    assert [len(pack) <= PARKED_CHARACTERS for pack in jar.packs] == [True]


def test_one_login_of_the_longest_link_can_be_parked() -> None:
    jar, logins = Jar(), [login(n, "/" + random.Random(n).randbytes(2_000).hex()[:2_047]) for n in range(9)]
    for each in logins:
        jar.put(each)
    assert all(jar.finds(each) for each in logins)


def test_answered_ones_give_way_before_those_still_under_way() -> None:
    jar, logins = Jar(), [login(n) for n in range(8)]
    for each in logins:
        jar.put(each)
    used = replace(logins[7], used=True)
    jar.put(used)
    jar.put(login(8))
    assert logins[7].cookie not in {name.removeprefix("__Host-") for name in jar}
    assert logins[0].cookie in {name.removeprefix("__Host-") for name in jar}
    assert jar.finds(used), "and is recognised when it is posted again"


def test_one_takes_the_place_of_another() -> None:
    jar, logins = Jar(), [login(n) for n in range(10)]
    for each in logins:
        jar.put(each)
    for former in (logins[0], logins[9]):
        jar.put(login(10 + logins.index(former)), instead_of=former)
        assert not jar.finds(former)
    assert jar.own == AT_ONCE


@pytest.mark.parametrize("used", [False, True])
def test_it_is_over_in_time_wherever_it_is_kept(monkeypatch: pytest.MonkeyPatch, used: bool) -> None:
    jar, logins = Jar(), [login(n, used=used) for n in range(10)]
    for each in logins:
        jar.put(each)
    now, limit = time.time(), LIFETIME_SECONDS + (USED_SECONDS if used else 0)
    monkeypatch.setattr(underway.time, "time", lambda: now + limit - 1)
    assert all(jar.finds(each) for each in logins)
    monkeypatch.setattr(underway.time, "time", lambda: now + limit + 1)
    assert not any(jar.finds(each) for each in logins)


def test_nothing_that_was_not_signed_for_this_counts() -> None:
    jar, known = Jar(), login(1)
    jar.put(known)
    name = f"__Host-{known.cookie}"
    content = {"logins": [list(vars_of(known))]}
    for purpose in ("session", "relay state", "login", "arrival"):
        jar[f"__Host-{PARKED}x"] = Tokens(SECRETS, purpose).dump(content)
        del jar[name]
        assert not jar.finds(known), purpose
        jar.put(known)
    parked = Tokens(SECRETS, "parked logins")
    for strange in ({}, {"logins": 3}, {"logins": [3]}, {"logins": [[]]}, {"logins": [["acme"]]}, {"logins": None}):
        jar[f"__Host-{PARKED}x"] = parked.dump(strange)
        assert jar.finds(known), "the others are not lost by it"


@given(st.text(max_size=200), st.text(max_size=200), st.text(min_size=8, max_size=40))
@settings(deadline=None)
def test_any_cookie_and_any_token(own: str, parked: str, token: str) -> None:
    clean = {f"__Host-kombo-bridge-login-{token[:8]}": own, f"__Host-{PARKED}x": parked}
    line = "; ".join(f"{name}={value}" for name, value in clean.items()).encode("utf-8", "surrogatepass")
    head = Head(b"GET", b"/", [(b"Cookie", line)])
    assert KEEPER.find(head, token) is None
    KEEPER.put(head, login(1), COOKIES)


def vars_of(login: Login) -> list[object]:
    return [getattr(login, name) for name in Login.__slots__]
