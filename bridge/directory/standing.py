"""How an integration stands with Kombo, and since when its data is no news: all that the bridge guesses about it.

`good_at` caps the age of whatever was read (`bridge.store.integrations.Ages`). Kombo says of no row when the LMS was
last read for it, so the moment is put together from what Kombo does say. Each rule here is a guess in that sense:

    ACTIVE      with its setup COMPLETED and no sync known to have failed: good as of now. Without webhooks Kombo has no
                other word for a sync that works. But where `data_expired_at` says that the configuration has changed
                since the last good sync, good as of then at most
    INVALID     no sync of the last three days could sign in. The last one that could began before those, and not more
                than three days before Kombo last said ACTIVE. A later change of a person in the directory, or a later
                sync that Kombo said had succeeded, moves the moment on from there
    otherwise   (INACTIVE, gone, a word that we do not know) good as of when Kombo last said ACTIVE, or of a later
                change of a person; until there is either, nothing counts as known
    failed      a sync of which a webhook said so leaves Kombo with what was there when it began. It holds until a sync
                that began later succeeds, or a later change of a person shows that one has; or until Kombo says ACTIVE
                two days after the last that is known to have failed. It syncs every few hours and would have told of
                more of them: it cannot reach us, or all that it tells is that a part failed, which may go on for ever
    PARTIALLY_FAILED says nothing, as nobody says which part

A change is taken from people alone: the bridge's own writes change progressions and courses at Kombo while no sync
works, and never a person. `changed_at` may be as much younger than the beginning of its sync as that took. One that
lies ahead is of a clock that is wrong, and shows nothing yet.

A webhook about the state only ever lowers the moment, as it may be late and out of order; the pass that it causes asks
Kombo itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bridge.directory import recreated
from bridge.directory.sync import Permit
from bridge.errors import KomboRefused, KomboUnavailable
from bridge.kombo.client import KomboClient
from bridge.kombo.webhooks import StateChanged
from bridge.printable import printable
from bridge.settings.model import Tenant
from bridge.store import integrations, syncs
from bridge.store.engine import Store, length_ms, moment_ms, now_ms
from bridge.store.integrations import Standing

ACTIVE, INVALID, INACTIVE = "ACTIVE", "INVALID", "INACTIVE"
GONE = "DELETED"
"""Our own word beside Kombo's: there is no such integration, or not any more."""
COMPLETED = "COMPLETED"

SUCCEEDED = "SUCCEEDED"
FAILED = frozenset({"FAILED", "AUTHENTICATION_FAILED", "TIMED_OUT", "CANCELLED"})

INVALID_AFTER_MS = length_ms(timedelta(days=3))
"""How long every sync has failed before Kombo says INVALID (Kombo's documentation)."""

FAILING_MS = length_ms(timedelta(days=2))
"""How long after its beginning a failed sync counts where Kombo says ACTIVE and tells of no other: longer than one sync
and the pause before it take, and less than the usual `kombo.stale_for`, by which everybody would be shut out."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Said:
    """What Kombo says of an integration now. What is None it did not say; `expired_at` is in milliseconds."""

    status: str | None
    setup_status: str | None = None
    customer: str | None = None
    expired_at: int | None = None


REFUSALS = {
    "PLATFORM.INTEGRATION_NOT_FOUND": Said(GONE),
    "INTEGRATION.INACTIVE": Said(INACTIVE),
    "INTEGRATION.SETUP_INCOMPLETE": Said(None, "INCOMPLETE"),
    "INTEGRATION.SETUP_SYNC_PENDING": Said(None, "FINAL_SYNC_PENDING"),
}
"""Refusals that say how the integration stands. Every other is about the key, the network or the question and means
"cannot know", a 404 without Kombo's code included; so does `INTEGRATION.AUTHENTICATION_INVALID`, which may be one
failed try."""


async def refresh(store: Store, client: KomboClient, tenant: Tenant, permit: Permit | None = None) -> Standing | None:
    """Ask Kombo how the tenant's integration stands, and note it; None where Kombo could not say.

    Then everything stays as it was noted: what was good a while ago has not become worse because nobody can ask. The
    first who finds a change logs it. Raises `StateError`; `permit` is asked in the same transaction.
    """
    said = await _ask(client, tenant)
    if said is None:
        return None
    integration = tenant.integration_id
    known = await store.read(lambda c: integrations.standing(c, integration))
    in_doubt = said.status != ACTIVE or (known is not None and known.failing_at is not None)
    evidence = await store.read(lambda c: _newest_person(c, integration)) if in_doubt else None

    def work(connection: Connection) -> tuple[Standing, Standing]:
        if permit:
            permit(connection)
        before = integrations.held_still(connection, integration, tenant.slug)
        after = replace(heard(_with_webhooks(before, tenant), said, now_ms(), evidence), tenant=tenant.slug)
        integrations.keep(connection, after)
        return before, after

    before, after = await store.write(work)
    tell(tenant, before, after)
    await recreated.look(store, tenant, after, permit)
    return after


def heard(known: Standing, said: Said, now: int, evidence: int | None = None) -> Standing:
    """What is known after Kombo's own answer. `evidence` is the latest change of a person."""
    shown = evidence if evidence is not None and evidence <= now else None
    new = replace(
        known,
        status=said.status or known.status,
        setup_status=said.setup_status or known.setup_status,
        customer=said.customer or known.customer,
        heard_at=now if said.status else known.heard_at,
    )
    new = replace(new, failing_at=_failing_at(new, now, shown))
    good_at = _good_at(known, new, said, now, shown)
    return replace(new, good_at=None if good_at is None else max(0, min(good_at, now)))


def told(known: Standing, event: StateChanged, now: int) -> Standing:
    """What is known after `integration-state-changed`: one older than Kombo's last answer says nothing new."""
    if event.updated_at is not None and known.heard_at is not None and moment_ms(event.updated_at) < known.heard_at:
        return known
    if event.status not in (None, ACTIVE):
        return heard(known, Said(event.status, event.setup_status), now)
    status, setup = event.status or known.status, event.setup_status or known.setup_status
    return replace(known, status=status, setup_status=setup, heard_at=now if event.status else known.heard_at)


def deleted(known: Standing, now: int) -> Standing:
    """What is known after `integration-deleted`."""
    return heard(known, Said(GONE), now)


def finished(known: Standing, state: str | None, started_at: datetime | None, now: int) -> Standing:
    """What is known after `sync-finished`, in whichever order several of them come."""
    began = None if started_at is None else max(0, min(moment_ms(started_at), now))
    if state == SUCCEEDED and began is not None:
        over = known.failing_at is not None and began > known.failing_at
        return replace(
            known,
            succeeded_at=_latest(began, known.succeeded_at),
            failing_at=None if over else known.failing_at,
            good_at=_latest(began, known.good_at),
        )
    if state in FAILED:
        began = now if began is None else began
        if known.succeeded_at is not None and began <= known.succeeded_at:
            return known
        good_at = began if known.good_at is None else min(began, known.good_at)
        return replace(known, failing_at=_latest(began, known.failing_at), good_at=good_at)
    return known


def tell(tenant: Tenant, before: Standing, after: Standing) -> None:
    """Log how the integration stands, where that is another than before: as a warning where nothing is synced."""
    whose = {"tenant": tenant.slug, "integration": tenant.integration_id}
    if before.failing_at is None and after.failing_at is not None:
        log.warning("integration_syncs_failed", **whose, hint=f"{_NO_NEWS}: Kombo's dashboard says why its syncs fail")
    elif before.failing_at is not None and after.failing_at is None:
        log.info("integration_syncs_recovered", **whose)
    if (before.status, before.setup_status) == (after.status, after.setup_status):
        return
    facts = {
        **whose,
        "state": printable(after.status or ""),
        "setup": printable(after.setup_status or ""),
        "before": before.status and printable(before.status),
    }
    if after.status == ACTIVE:
        log.info("integration_state_changed", **facts)
    else:
        log.warning("integration_state_changed", **facts, hint=hint(after.status))


def hint(status: str | None) -> str:
    """What an integration that is not ACTIVE means, and what to do."""
    return _HINTS.get(status or "", _NO_NEWS)


_NO_NEWS = "Kombo reads nothing from this LMS; people are let in by what is known until `kombo.stale_for` is over"
_HINTS = {
    INVALID: f"{_NO_NEWS}: the customer has to connect its LMS again (Kombo's dashboard makes the link)",
    INACTIVE: f"{_NO_NEWS}: switch the integration on again in Kombo's dashboard",
    GONE: f"{_NO_NEWS}: Kombo has no integration of this id; if the customer was connected anew, write the new id as"
    " `kombo.integration_id` in the tenant's file, otherwise see whether `kombo.api_key` is of the same environment",
}


async def _ask(client: KomboClient, tenant: Tenant) -> Said | None:
    try:
        found = await client.integration()
    except KomboUnavailable:
        return None
    except KomboRefused as error:
        said = REFUSALS.get(error.kombo_code)
        if said is None:
            log.warning("integration_not_checked", tenant=tenant.slug, reason=str(error))
        return said
    if found.id != tenant.integration_id:
        log.warning("integration_not_checked", tenant=tenant.slug, reason="Kombo answered about another integration")
        return None
    return Said(
        found.status,
        found.setup_status,
        found.end_user.origin_id if found.end_user else None,
        moment_ms(found.data_expired_at) if found.data_expired_at else None,
    )


def _newest_person(connection: Connection, integration_id: str) -> int | None:
    """The latest `changed_at` of anybody, as the passes over the people noted it."""
    people = syncs.of(connection, integration_id).get("users")
    return people.newest_at if people else None


def _with_webhooks(known: Standing, tenant: Tenant) -> Standing:
    """Without webhooks nobody would say that a sync which failed has been followed by a good one."""
    return known if tenant.kombo.webhook_secret else replace(known, failing_at=None)


def _failing_at(new: Standing, now: int, evidence: int | None) -> int | None:
    """Since when the syncs are known to fail: never a moment that lies ahead, as nothing could come after it."""
    if new.failing_at is None or (evidence is not None and evidence > new.failing_at):
        return None
    failing = min(new.failing_at, now)
    return None if new.status == ACTIVE and now - failing > FAILING_MS else failing


def _good_at(known: Standing, new: Standing, said: Said, now: int, evidence: int | None) -> int | None:
    if new.status == INVALID:
        return _before_invalid(known, now, evidence)
    if new.status != ACTIVE:
        return _latest(known.good_at, known.succeeded_at, evidence)
    if new.failing_at is not None or new.setup_status != COMPLETED:
        return known.good_at
    return now if said.expired_at is None else said.expired_at


def _before_invalid(known: Standing, now: int, evidence: int | None) -> int:
    bounds = [evidence, known.succeeded_at]
    if known.status == ACTIVE and known.heard_at is not None:
        bounds.append(known.heard_at - INVALID_AFTER_MS)
    else:
        bounds.append(known.good_at)
    good_at = min(_latest(*bounds), now - INVALID_AFTER_MS)
    return good_at if known.status != ACTIVE or known.good_at is None else min(good_at, known.good_at)


def _latest(*moments: int | None) -> int:
    return max((moment for moment in moments if moment is not None), default=0)
