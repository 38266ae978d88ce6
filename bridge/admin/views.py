"""What each address of the admin page shows: a look into the state, and a template."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from bridge.admin import held, looks
from bridge.admin.access import PATH
from bridge.admin.glances import ends_of
from bridge.admin.launches import OUTCOMES, Asked, number, shown
from bridge.admin.overview import overview
from bridge.admin.reading import Reader
from bridge.admin.remedies import remedies
from bridge.admin.tenant import DAYS, STEPS, Story, keep
from bridge.admin.whys import why
from bridge.checkup.findings import LATE, LEVELS
from bridge.checkup.snapshot import Snapshot, take
from bridge.errors import BridgeError, StateError
from bridge.front.refusals import redirect
from bridge.kombo.meanings import meaning
from bridge.launches import history
from bridge.launches.references import misheard, read_reference
from bridge.settings.model import Configuration
from bridge.store import outbox as outbox_rows
from bridge.store.engine import length_ms, now_ms
from bridge.store.outbox import Count, State
from bridge.store.sealing import Seal

STATES: tuple[State, ...] = ("dead", "waiting")
ENTRIES = 100
MOST_TENANTS = 20
EXPLAINED = 5
SUGGESTED = 500
REFRESH = (15, 60, 300)
"""Seconds after which a page may be asked to load itself anew."""

Query = Mapping[str, str]
Values = dict[str, Any]


class Views:
    """`current` gives the configuration in force, `workers` how many processes serve; `seal` opens what IdPs said."""

    def __init__(
        self, reader: Reader, current: Callable[[], Configuration], seal: Seal, workers: Callable[[], int]
    ) -> None:
        self._reader = reader
        self._current = current
        self._seal = seal
        self._workers = workers

    async def overview(self, _: Request, query: Query) -> Response:
        """Every tenant; also where the state cannot be read, as somebody is sure to look then."""
        configuration, now, workers = self._current(), now_ms(), self._workers()
        try:
            told = await self._reader.read(
                lambda connection: overview(configuration, take(connection, now), workers, query, connection)
            )
        except StateError:
            told = await asyncio.to_thread(overview, configuration, Snapshot(now), workers, query)
        return await _page("overview", query, told=told, levels=LEVELS)

    async def tenant(self, request: Request, query: Query) -> Response:
        configuration, slug = self._current(), request.path_params["tenant"]
        if slug not in configuration.tenants and slug not in configuration.broken:
            return await _sentence("No such tenant", "No file in the tenants' folder has this name.", 404)
        kept = await self._reader.read(partial(keep, slug=slug, now=now_ms()))
        story = await asyncio.to_thread(Story.of, configuration, slug, kept)
        return await _page("tenant", query, story=story, days=DAYS, steps=STEPS)

    async def launches(self, _: Request, query: Query) -> Response:
        """Those that fit; with `reference`, on to the launch that has it."""
        unknown = ""
        if said := query.get("reference", "").strip():
            try:
                return redirect(f"{PATH}/launches/{read_reference(said)}")
            except BridgeError as error:
                unknown = str(error)
        asked = Asked.of(query)
        found = await self._reader.read(partial(history.recent, which=asked.which, limit=asked.limit + 1))
        return await _page(
            "launches",
            query,
            asked=asked,
            unknown=unknown,
            outcomes=OUTCOMES,
            tenants=sorted(self._current().tenants)[:SUGGESTED],
            launches=[shown(record) for record in found[: asked.limit]],
            older=asked.older(found[asked.limit].at) if len(found) > asked.limit else None,
        )

    async def launch(self, request: Request, query: Query) -> Response:
        """All that was given a reference; after millions of launches it may be more than one."""
        try:
            reference = read_reference(request.path_params["reference"])
        except BridgeError as error:
            return await _sentence("No reference", f"Not found: {error}.", 404)
        found = await self._reader.read(partial(history.of_reference, reference=reference))
        if not found:
            said = (misheard(reference) or "it is older than what is kept, or was never given").rstrip("?.")
            return await _sentence(f"Nothing is known of {reference}", f"{said[:1].upper()}{said[1:]}.", 404)
        configuration = self._current()
        whys = [await why(record, configuration, self._reader, self._seal) for record in found[:EXPLAINED]]
        return await _page("launch", query, reference=reference, whys=whys, remedies=remedies())

    async def outbox(self, _: Request, query: Query) -> Response:
        """The oldest that gave up and that wait, tenant by tenant.

        Kombo's own sentence may name somebody: only its code is shown.
        """
        tenant, now = query.get("tenant", "").strip()[:63], now_ms()

        def work(connection: Connection) -> Values:
            counts = [each for each in outbox_rows.counts(connection) if tenant in ("", each.tenant)]
            return {state: _of_state(connection, state, tenant, counts) for state in STATES}

        if not tenant.isprintable():
            return await _sentence("No such tenant", "No file in the tenants' folder has this name.", 404)
        entries = await self._reader.read(work)
        served = {each.integration_id for each in self._current().tenants.values()}
        return await _page(
            "outbox",
            query,
            tenant=tenant,
            now=now,
            entries=entries,
            served=served,
            late=length_ms(LATE),
            meaning=meaning,
        )

    async def keys(self, _: Request, query: Query) -> Response:
        configuration, now = self._current(), now_ms()
        snapshot = await self._reader.read(partial(take, now=now))
        ends = await asyncio.to_thread(ends_of, configuration, snapshot)
        own, theirs = held.own(snapshot), held.theirs(ends, snapshot)
        return await _page("keys", query, now=now, own=own, theirs=theirs, most=held.MOST)

    async def refusals(self, _: Request, query: Query) -> Response:
        return await _page("refusals", query, remedies=remedies())

    async def nothing(self, _: Request, _query: Query) -> Response:
        return await _sentence("No such page", "The admin page has nothing at this address.", 404)


def _of_state(connection: Connection, state: State, tenant: str, counts: Sequence[Count]) -> Values:
    """How many entries there are, since when in milliseconds, the tenants that have most, and the oldest of each."""
    of_state = sorted((each for each in counts if each.state == state), key=lambda each: (-each.entries, each.tenant))
    return {
        "many": sum(each.entries for each in of_state),
        "since": min((each.since for each in of_state), default=None),
        "most": of_state[:MOST_TENANTS],
        "oldest": outbox_rows.oldest(connection, state, tenant or None, ENTRIES),
    }


async def _page(name: str, query: Query, **values: Any) -> Response:
    """`refresh` in the query lets any page load itself anew."""
    seconds = number(query.get("refresh"), max(REFRESH))
    rest = {key: value for key, value in query.items() if key != "refresh"}
    again = [(each, urlencode(rest | {"refresh": each} if each else rest)) for each in (0, *REFRESH)]
    common = {"page": name, "at": now_ms(), "refresh": seconds if seconds in REFRESH else 0, "again": again}
    return await asyncio.to_thread(looks.answer, f"{name}.html", common | values)


async def _sentence(title: str, says: str, status: int) -> Response:
    return await asyncio.to_thread(looks.answer, "sentence.html", {"title": title, "says": says}, status)
