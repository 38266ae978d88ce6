"""From what an IdP sent to what it says: verified in its turn, and once more where the IdP may have new keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog

from bridge.errors import SamlRefusal
from bridge.front.turns import Turns
from bridge.keys.custody import HeldKeys
from bridge.saml.logout import LogoutAnswer, LogoutMessage, LogoutRequest, read_logout
from bridge.saml.model import Assertion, Expectation
from bridge.saml.steps import Progress
from bridge.saml.verify import verify
from bridge.settings.model import Configuration, Tenant

NO_KEY_FITS = "signature"
"""The check that a message fails whose signature no certificate of the IdP's metadata verifies."""

T = TypeVar("T")
Refresh = Callable[[Tenant], Awaitable[bool]]

log = structlog.get_logger()


class Judge:
    """Verifies responses and logout messages. `current` gives the configuration in force.

    `refresh` reads a tenant's metadata anew and says whether there is something new in it by now; how often it may be
    asked is its own affair. Without it nothing is judged twice. What nobody asked for is anybody's to send, so one at a
    time is judged, and logins go on beside it.
    """

    def __init__(
        self,
        keys: HeldKeys,
        turns: Turns,
        current: Callable[[], Configuration],
        refresh: Refresh | None = None,
    ) -> None:
        self._keys = keys
        self._turns = turns
        self._strangers = turns.share(1)
        self._refresh = refresh
        self._current = current

    async def judge(
        self,
        response: str,
        tenant: Tenant,
        request_id: str | None,
        posted_to: str,
        progress: Progress | None = None,
    ) -> Assertion:
        """What a SAMLResponse asserts, which was posted to one of the tenant's two ACS URLs. Raises `SamlRefusal`.

        `request_id` is that of the login under way; None where nobody asked. `progress` says how far it got.
        """
        turns = self._strangers if request_id is None else self._turns
        work = partial(_verify, response, request_id, posted_to, self._keys, progress or Progress())
        return await self._judged(turns, tenant, work)

    async def read_logout(self, message: LogoutMessage, tenant: Tenant) -> LogoutRequest | LogoutAnswer:
        """What a message to the tenant's SLO URL says. Raises `SamlRefusal`."""
        return await self._judged(self._turns, tenant, partial(_read_logout, message))

    async def _judged(self, turns: Turns, tenant: Tenant, work: Callable[[Tenant], T]) -> T:
        try:
            return await turns.take(partial(work, tenant))
        except SamlRefusal as refusal:
            renewed = await self._renewed(tenant) if refusal.check == NO_KEY_FITS else None
            if renewed is None:
                raise
        log.info("saml_message_rejudged", tenant=tenant.slug)
        return await turns.take(partial(work, renewed))

    async def _renewed(self, tenant: Tenant) -> Tenant | None:
        """The tenant as it is now, if its metadata has brought something new."""
        if self._refresh is None or not await self._refresh(tenant):
            return None
        return self._current().tenants.get(tenant.slug)


def _verify(
    response: str, request_id: str | None, posted_to: str, keys: HeldKeys, progress: Progress, tenant: Tenant
) -> Assertion:
    progress.again()
    expected = expectation(tenant, request_id, posted_to, keys)
    return verify(response, expected, now=datetime.now(UTC), progress=progress)


def expectation(tenant: Tenant, request_id: str | None, posted_to: str, keys: HeldKeys) -> Expectation:
    """What a response must fit that was posted to one of the tenant's two ACS URLs."""
    return Expectation(
        provider=tenant.provider,
        party=tenant.party,
        request_id=request_id,
        signed=tenant.saml.signed,
        clock_skew=tenant.saml.clock_skew,
        keys=keys.of(tenant),
        accept_sha1=tenant.saml.accept_sha1,
        posted_to=posted_to,
    )


def _read_logout(message: LogoutMessage, tenant: Tenant) -> LogoutRequest | LogoutAnswer:
    return read_logout(
        message,
        tenant.provider,
        tenant.party,
        now=datetime.now(UTC),
        clock_skew=tenant.saml.clock_skew,
        accept_sha1=tenant.saml.accept_sha1,
    )
