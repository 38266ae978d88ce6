from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bridge.errors import Code, Refusal
from bridge.front.turns import AT_ONCE, STRANGERS_WAITING, Turns


async def test_a_few_work_at_once_and_the_loop_goes_on() -> None:
    turns, working, most = Turns(), set[int](), 0

    def work() -> None:
        nonlocal most
        working.add(threading.get_ident())
        most = max(most, len(working))
        time.sleep(0.02)
        working.discard(threading.get_ident())

    begun = time.monotonic()
    await asyncio.gather(*(turns.take(work) for _ in range(10)))
    assert most == AT_ONCE
    assert time.monotonic() - begun < 1


async def test_those_who_wait_are_bounded_and_leave_room_for_others() -> None:
    turns, held = Turns(), threading.Event()
    strangers = turns.share(1)
    waiting = [asyncio.ensure_future(strangers.take(held.wait)) for _ in range(STRANGERS_WAITING + 1)]
    await asyncio.sleep(0)
    with pytest.raises(Refusal) as refused:
        await strangers.take(held.wait)
    assert (refused.value.code, refused.value.status) == (Code.USER_UNKNOWN, 503)
    assert await turns.take(lambda: "a login goes on") == "a login goes on"
    held.set()
    await asyncio.gather(*waiting)
    assert await strangers.take(lambda: "and there is room again") == "and there is room again"


async def test_whoever_leaves_makes_room() -> None:
    turns, held = Turns(1, waiting=0), threading.Event()
    leaver = asyncio.ensure_future(turns.take(held.wait))
    await asyncio.sleep(0.05)
    leaver.cancel()
    held.set()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert await turns.take(lambda: 1) == 1
