"""What `/metrics` says of the outbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bridge.metrics import outbox
from bridge.simulator import seed
from bridge.store.engine import moment_ms
from tests.outbox.conftest import Post

CYBER = "cybersecurity-101"
Samples = dict[tuple[str, ...], float]


async def measured(post: Post, now: datetime) -> Samples:
    found = await post.rooms.store.read(lambda c: list(outbox.measured(c, post.configuration, now)))
    return {
        (sample.name.removeprefix("kombo_bridge_outbox_"), *sample.labels.values()): sample.value
        for family in found
        for sample in family.samples
    }


async def test_what_waits_and_what_was_done(either_post: Post) -> None:
    post = either_post
    now = datetime.now(UTC)
    done = await post.complete(seed.JANE, CYBER)
    async with post.carrying():
        await post.settled()
    old, dead = await post.complete(seed.LENA, CYBER), await post.complete(seed.NOOR, CYBER)
    await post.change(old, created_at=moment_ms(now - timedelta(hours=2)))
    await post.change(dead, state="dead")
    gone = await post.complete(seed.INGRID, CYBER)
    await post.change(gone, tenant="gone")
    found = await measured(post, now)
    assert found["waiting", "acme"] == found["dead", "acme"] == found["waiting", "gone"] == 1
    assert 7199 < found["oldest_waiting_seconds", "acme"] < 7201
    assert found["waiting", "globex"] == found["oldest_waiting_seconds", "globex"] == 0
    assert found["done_total", "acme", "complete"] == 1
    await post.rooms.store.write(lambda c: c.exec_driver_sql(f"DELETE FROM outbox WHERE id = '{done}'"))
    assert (await measured(post, now))["done_total", "acme", "complete"] == 1, "swept or not"
