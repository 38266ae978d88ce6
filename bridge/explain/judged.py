"""A response as the service's verifier judges it, as of the moment at which it says that it was issued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bridge.errors import SamlRefusal
from bridge.explain.explanation import Check
from bridge.explain.said import Said
from bridge.front.judge import expectation
from bridge.keys.custody import HeldKeys
from bridge.saml.model import Assertion
from bridge.saml.steps import Progress, Step
from bridge.saml.verify import verify
from bridge.settings.model import Tenant

NOT_JUDGED = {
    Step.ANSWERED: "only the browser that asked knows what it asked for",
    Step.REPLAY: "only the service knows what it has let in before",
}


_LAST_SIGNATURE = list(Step).index(Step.ASSERTION_SIGNATURE)


@dataclass(frozen=True, slots=True)
class Judged:
    """`assertion` where it passed, else `refusal`."""

    posted: str
    said: Said | None
    keys: HeldKeys
    checks: Sequence[Check]
    assertion: Assertion | None = None
    refusal: SamlRefusal | None = None
    progress: Progress = field(default_factory=Progress)

    def again(self, tenant: Tenant) -> Judged:
        """The same response, had the tenant these settings."""
        return judge(tenant, self.posted, self.said, self.keys)

    def would_get_further(self, tenant: Tenant) -> bool:
        """Whether these settings would let it past the rule that it failed, and its signatures are the IdP's: by what
        nobody has signed, anybody could have a setting changed."""
        again = self.again(tenant)
        if again.refusal is None:
            return True
        return again._reached > max(self._reached, _LAST_SIGNATURE)

    @property
    def _reached(self) -> int:
        last = self.progress.last
        return -1 if last is None else list(Step).index(last)


def judge(tenant: Tenant, posted: str, said: Said | None, keys: HeldKeys) -> Judged:
    """What the verifier says. Whether the response answers what was asked is taken from itself, and not judged."""
    progress = Progress()
    now = (said.issued if said else None) or datetime.now(UTC)
    request_id = said.request_id if said else None
    expected = expectation(tenant, request_id, _posted_to(tenant, said), keys)
    try:
        assertion = verify(posted, expected, now=now, progress=progress)
    except SamlRefusal as refusal:
        progress.fail()
        checks = tuple(_checks(progress, refusal.reason))
        return Judged(posted, said, keys, checks, refusal=refusal, progress=progress)
    return Judged(posted, said, keys, tuple(_checks(progress)), assertion=assertion, progress=progress)


def _posted_to(tenant: Tenant, said: Said | None) -> str:
    """The one of the tenant's two ACS URLs that it names, else the one that requests name."""
    ours = (tenant.party.acs, tenant.party.former_acs)
    return said.address if said and said.address in ours and said.address else tenant.party.requested_acs


def _checks(progress: Progress, reason: str = "") -> Iterator[Check]:
    for step, standing in progress.standings():
        if step in NOT_JUDGED and standing != "failed":
            yield Check(str(step), "not_judged", NOT_JUDGED[step])
        else:
            yield Check(str(step), standing, reason if standing == "failed" else "")
