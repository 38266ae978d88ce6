"""A process that accepts completions and carries them, and is killed again and again: `killed.py CONFIG STATE WORK`.

WORK is a JSON file with pairs of Kombo user id and course. As a platform would, each life goes on reporting where the
last one's acknowledgements ended, some of them twice. Lives are forked, as starting Python anew takes longer than most
of them last. Ends once everything is settled.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from bridge.kombo.client import KomboClient
from bridge.kombo.transport import http_client
from bridge.outbox.carrier import Carrier
from bridge.outbox.outbox import Outbox
from bridge.outbox.pace import Pace
from bridge.settings.load import load
from bridge.store import lookups
from bridge.store import outbox as rows
from bridge.store.engine import Store

KILLS = 6
AGAIN = 3
PACE = Pace(
    tick=0.02,
    lease=0.3,
    first_pause=0.05,
    longest_pause=0.5,
    longest_rest=0.5,
    complete_settles=3.0,
    enroll_settles=3.0,
    look_again=0.3,
)


async def live(config: Path, state: str, work: Path) -> None:
    configuration, store = load(config, {}), Store(state)
    tenant, reports, journal = configuration.tenants["acme"], json.loads(work.read_text()), work.with_suffix(".journal")
    done = len(journal.read_text().splitlines()) if journal.exists() else 0
    async with http_client() as http:
        carrier = Carrier(
            store, lambda: configuration, lambda each: KomboClient(http, each.kombo, each.integration_id), PACE
        )
        carrying = asyncio.ensure_future(carrier.run())
        outbox = Outbox(store)
        for user_id, course in reports[max(done - AGAIN, 0) :]:
            person = await store.read(lambda c, id=user_id: lookups.person(c, tenant.integration_id, id))
            assert person
            id = await outbox.complete(tenant, person, course, source="api")
            with journal.open("a") as accepted:
                accepted.write(f"{id}\n")
            await asyncio.sleep(random.uniform(0, 0.02))
        while any(entry.state == "waiting" for entry in await store.read(lambda c: rows.listed(c, 0))):
            await asyncio.sleep(0.05)
        carrying.cancel()


def main(config: str, state: str, work: str) -> None:
    for number in range(KILLS + 1):
        life = os.fork()
        if life == 0:
            asyncio.run(live(Path(config), state, Path(work)))
            os._exit(0)
        if number < KILLS:
            time.sleep(random.uniform(0.2, 0.9))
            os.kill(life, signal.SIGKILL)
        os.waitpid(life, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
