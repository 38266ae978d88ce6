"""One document fetched, judged, and kept as the one in force, or not."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import structlog
from sqlalchemy import Connection

from bridge.errors import MetadataError
from bridge.idps.fetch import Fetcher, FetchError
from bridge.saml.metadata import Metadata
from bridge.settings.idp import expired_since, has_expired, usable
from bridge.settings.model import MetadataUrl
from bridge.store import idps
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.idps import Kept, Key

LONGEST = timedelta(days=1)
SHORTEST = timedelta(minutes=5)
FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(hours=1)

log = structlog.get_logger()
_chance = random.SystemRandom()


class Outcome(StrEnum):
    """What a fetch came to."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    HELD = "held"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Renewal:
    """`detail` is the entityID that the document names, or why there is none; `news`: the last fetch said another."""

    outcome: Outcome
    detail: str
    news: bool


class Keeping:
    """Renews the documents in the state."""

    def __init__(self, store: Store, fetcher: Fetcher) -> None:
        self._store = store
        self._fetcher = fetcher

    async def renew(self, source: MetadataUrl, *, accept: str | None = None, plan: bool = True) -> Renewal:
        """Fetch the document of a source that has a row in the state; raises `StateError`.

        A document that cannot be used, has expired, or names another entityID than the one in force, leaves that one in
        force; `accept` is an entityID that it may change to. Without `plan` nothing is written where nothing changed:
        that is for those who ask out of turn.
        """
        key = Key(source.slug, source.url)
        found = await self._store.read(lambda connection: idps.find(connection, key))
        if found is None:
            raise MetadataError(f"nobody has begun to fetch the metadata of {source.slug}")
        kept, former = found
        try:
            fetched = await self._fetcher.fetch(source.url, kept.etag if former else None)
            document = former if fetched.document is None else fetched.document
            metadata = await asyncio.to_thread(judged, document or b"", source)
        except (FetchError, MetadataError) as error:
            return await self._failed(kept, str(error), plan)
        entity_id = metadata.provider.entity_id
        if not plan and entity_id == kept.entity_id and document == former:
            return Renewal(Outcome.UNCHANGED, entity_id, news=False)
        if not plan and entity_id == kept.held:
            return Renewal(Outcome.HELD, entity_id, news=False)
        next_at = now_ms() + length_ms(interval(metadata))

        def take(connection: Connection) -> Renewal:
            found = idps.find(connection, key)
            if found is None:
                raise MetadataError(f"the metadata of {source.slug} was forgotten while it was fetched")
            if found[0].fetched_at != kept.fetched_at and found[0].entity_id == entity_id:
                return Renewal(Outcome.UNCHANGED, entity_id, news=False)  # another node was quicker: ours may be older
            return _take(connection, found, document or b"", fetched.etag, entity_id, accept, next_at)

        renewal = await self._store.write(take)
        _tell(kept, renewal, metadata)
        return renewal

    async def _failed(self, kept: Kept, reason: str, plan: bool) -> Renewal:
        renewal = Renewal(Outcome.FAILED, reason, news=reason != kept.failed)
        if plan:
            failures = kept.failures + 1
            next_at = now_ms() + length_ms(pause(failures, first=kept.entity_id is None))
            await self._store.write(lambda connection: idps.fail(connection, kept.key, reason, failures, next_at))
            _tell(kept, renewal)
        return renewal


def interval(metadata: Metadata) -> timedelta:
    """How long a document is left alone: at most a day, as long as it says, and never into the end of its validity.

    Somewhat less, by chance: what was fetched together is not fetched together again.
    """
    longest = LONGEST if metadata.cache_duration is None else min(LONGEST, metadata.cache_duration)
    if metadata.valid_until:
        longest = min(longest, (metadata.valid_until - datetime.now(UTC)) / 2)
    return max(longest * _chance.uniform(0.8, 1), SHORTEST)


def pause(failures: int, *, first: bool) -> timedelta:
    """How long to wait after so many failures in a row; less where nobody can log in yet (`first`)."""
    shortest = FIRST_RETRY if first else SHORTEST
    return min(shortest * (1 << min(failures - 1, 10)), LAST_RETRY) * _chance.uniform(0.8, 1)


def judged(document: bytes, source: MetadataUrl) -> Metadata:
    """What a document of a source says; raises `MetadataError` where it cannot be used, or has expired."""
    metadata = usable(document, source)
    if metadata.valid_until and has_expired(metadata.valid_until, datetime.now(UTC)):
        raise MetadataError(expired_since(metadata.valid_until))
    return metadata


def _take(
    connection: Connection,
    found: tuple[Kept, bytes | None],
    document: bytes,
    etag: str | None,
    entity_id: str,
    accept: str | None,
    next_at: int,
) -> Renewal:
    """Judged by what is in force now: another node may have been quicker, and somebody may have accepted."""
    kept, former = found
    if kept.entity_id and entity_id not in (kept.entity_id, accept):
        idps.hold(connection, kept.key, entity_id, next_at)
        return Renewal(Outcome.HELD, entity_id, news=entity_id != kept.held)
    if document == former:
        idps.confirm(connection, kept.key, etag, next_at)
        return Renewal(Outcome.UNCHANGED, entity_id, news=False)
    idps.keep(connection, kept.key, document, entity_id, etag, next_at)
    return Renewal(Outcome.CHANGED, entity_id, news=True)


def _tell(kept: Kept, renewal: Renewal, metadata: Metadata | None = None) -> None:
    """Say what is news in the log, once."""
    about = {"tenant": kept.tenant, "url": kept.url}
    if kept.failed and renewal.outcome is not Outcome.FAILED:
        log.info("metadata_recovered", **about)
    if not renewal.news:
        return
    match renewal.outcome:
        case Outcome.FAILED:
            serving = "nothing" if kept.entity_id is None else "the last good version"
            log.warning("metadata_not_taken", **about, reason=renewal.detail, serving=serving)
        case Outcome.HELD:
            log.error(
                "metadata_held",
                **about,
                entity_id=kept.entity_id,
                offered=renewal.detail,
                hint=f"if the customer moved to another IdP, run `kombo-bridge metadata accept {kept.tenant}`",
            )
        case _ if metadata:
            certificates = len(metadata.provider.certificates)
            log.info("metadata_taken", **about, entity_id=renewal.detail, certificates=certificates)
