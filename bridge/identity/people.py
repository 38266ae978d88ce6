"""Whom the platform means by a Kombo id or a remote id: exactly one person, or a refusal that says why not.

Unlike at a sign-in, somebody inactive counts: who has left today may have finished a course yesterday, and Kombo says
whether it still takes that. Deleted and anonymised people do not exist, here as everywhere.
"""

from __future__ import annotations

from bridge.directory.freshness import freshness, since
from bridge.directory.live import Live
from bridge.errors import Code, KomboError, Refusal
from bridge.kombo.client import askable
from bridge.redaction import redacted
from bridge.settings.model import Tenant
from bridge.store import integrations, lookups
from bridge.store.engine import Store
from bridge.store.lookups import Person


class People:
    """Looks people up, in the directory first and live at Kombo where that has no answer."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def by_id(self, tenant: Tenant, user_id: str) -> Person:
        """The person of a Kombo id. Raises `Refusal`, as `by_remote_id` does, and `StateError`."""
        integration = tenant.integration_id
        person = await self._store.read(lambda connection: lookups.person(connection, integration, user_id))
        if person is None:
            raise await self._nobody(tenant, f"the Kombo id {user_id!r}")
        return person

    async def by_remote_id(self, tenant: Tenant, remote_id: str) -> Person:
        """The person of an LMS-side id, exactly as Kombo has it.

        Raises `Refusal`: `user_unmatched` (404), `user_ambiguous` (409), or `user_unknown` (503) where neither the
        directory nor Kombo can say; and `StateError`. Whom the directory lacks may have been hired today: as long as
        Kombo cannot be asked, be it only as another process is asking, nobody can say, and a program that is told 404
        does not ask again.
        """
        integration, shown = tenant.integration_id, _shown(remote_id)
        people = await self._store.read(lambda c: lookups.people_by_remote_id(c, integration, remote_id))
        if not people and askable(remote_id):
            try:
                people = await self._live.people(tenant, "remote_id", remote_id)
            except KomboError as error:
                reason = f"the remote id {shown} is not in the directory, and Kombo cannot be asked: {error}"
                raise Refusal(Code.USER_UNKNOWN, reason) from error
        if not people:
            raise await self._nobody(tenant, f"the remote id {shown}")
        candidates = [person for person in people if person.active] or people
        if len(candidates) > 1:
            reason = f"{len(candidates)} Kombo users of {integration} have the remote id {shown}"
            raise Refusal(Code.USER_AMBIGUOUS, reason, status=409)
        return candidates[0]

    async def _nobody(self, tenant: Tenant, named: str) -> Refusal:
        """That there is nobody is said only where everybody is known, and not too long ago."""
        integration = tenant.integration_id
        ages = await self._store.read(lambda connection: integrations.ages(connection, integration))
        if freshness(tenant, known_at := ages.of("users")) != "too_old":
            return Refusal(Code.USER_UNMATCHED, f"{named} is no Kombo user's of {integration}", status=404)
        reason = f"nobody can say now whose {named} is: the users of {integration} are {since(known_at)}"
        return Refusal(Code.USER_UNKNOWN, reason)


def _shown(remote_id: str) -> str:
    """An id may stand in the log; some LMSs take people's addresses for ids, and those may not."""
    return redacted(remote_id) if "@" in remote_id else repr(remote_id)
