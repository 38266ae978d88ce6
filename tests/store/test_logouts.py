"""Sessions that end by name, and logouts that are remembered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from bridge.store import sessions
from bridge.store.engine import Store, now_ms
from bridge.store.sessions import SessionRow

ROW = SessionRow("d", "acme", "i", "idp", "u", None, "name_id", 1, 2, 3, now_ms() + 3_600_000, name_digest="n")


async def test_an_ended_session_is_given_back_once(store: Store) -> None:
    await store.write(lambda c: sessions.add(c, ROW))
    assert await store.write(lambda c: sessions.end(c, "d")) == ROW
    assert await store.write(lambda c: sessions.end(c, "d")) is None


async def test_ending_by_name_and_indexes(store: Store) -> None:
    for digest, change in {
        "one": {"session_index": "1"},
        "two": {"session_index": "2"},
        "unsaid": {},
        "tenant": {"tenant": "globex"},
        "idp": {"provider": "other"},
        "name": {"name_digest": "other"},
        "nameless": {"name_digest": None},
    }.items():
        await store.write(lambda c, d=digest, m=change: sessions.add(c, replace(ROW, digest=d, **m)))
    assert await store.write(lambda c: sessions.end_name(c, "acme", "idp", "n", ["1", "3"])) == {"one", "unsaid"}
    assert await store.write(lambda c: sessions.end_name(c, "acme", "idp", "n", [])) == {"two"}
    assert await store.write(lambda c: sessions.end_name(c, "acme", "idp", "n", [])) == frozenset()


async def test_the_latest_of_several_logouts_is_remembered_and_swept_at_last(store: Store) -> None:
    moment = now_ms()
    assert await store.read(lambda c: sessions.logged_out_at(c, "m")) is None
    for noted in (moment - 50, moment, moment - 100):
        await store.write(lambda c, m=noted: sessions.note_logout(c, "m", m))
    await store.write(lambda c: sessions.note_logout(c, "old", moment - sessions.LOGOUT_KEPT_MS - 1000))
    await store.write(sessions.sweep)
    assert await store.read(lambda c: sessions.logged_out_at(c, "m")) == moment
    assert await store.read(lambda c: sessions.logged_out_at(c, "old")) is None
    assert await store.write(lambda c: sessions.use_once(c, "logout", "m", moment)), "no other mark is made by it"


async def test_a_sign_in_and_a_logout_of_one_person_do_not_miss_each_other(store: Store) -> None:
    """However they interleave: either the logout finds the session, or the sign-in finds the logout."""

    def sign_in(connection: Connection, digest: str, mark: str) -> None:
        sessions.alone(connection, mark)
        if sessions.logged_out_at(connection, mark) is None:
            sessions.add(connection, replace(ROW, digest=digest, name_digest=mark))

    def log_out(connection: Connection, mark: str) -> None:
        sessions.alone(connection, mark)
        sessions.note_logout(connection, mark, now_ms())
        sessions.end_name(connection, "acme", "idp", mark, [])

    for n in range(30):
        digest, mark = f"d{n}", f"m{n}"
        works = [partial(sign_in, digest=digest, mark=mark), partial(log_out, mark=mark)]
        await asyncio.gather(*(store.write(work) for work in works[:: n % 2 * 2 - 1]))
        assert await store.read(partial(sessions.find, digest=digest)) is None, n
