"""What is known of one launch while it goes on: how its tenant was found, what each step came to, and how long it took.

The steps are written down as JSON, an array of objects with `step`, `outcome`, `ms` (how long it took, where that is
known) and whatever else there is to say of it. Nothing in them names a person but Kombo's ids; what the IdP said is
kept apart (`Trail.seen`), so that it can be sealed, and forgotten sooner.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal

from bridge.errors import Refusal
from bridge.identity.tried import Tried
from bridge.saml.model import Assertion
from bridge.saml.steps import Progress
from bridge.settings.model import Tenant

Found = Literal["address", "host", "link", "browser", "organization", "idp"]
"""How the tenant of a login was found: by the address of its own login page, by the host, by the link's
`tenant_parameter`, as this browser's last one, by a work email on the page that asks for the organisation; or its IdP
began by itself.
"""
FOUND_BEFORE: tuple[Found, ...] = ("host", "link", "browser", "organization")
"""What another page of ours can have found before the login page was asked for."""

StepName = Literal["asked", "answered", "verified", "identified", "signed_in", "returned", "gate", "forwarded"]
"""A launch's steps, in order: the bridge asked the IdP, the answer came, it was verified, the person was found, the
session was opened, the browser came back to the deep link, the gate was asked, the platform answered. From `returned`
on they may come again: a learner who was refused the page comes back for it, and is let in.
"""
Outcome = Literal["passed", "failed"]

MOST_ATTRIBUTES = 60
MOST_VALUES = 5
LONGEST = 256
LONGEST_REASON = 1000


def step(name: StepName, outcome: Outcome, ms: int | None = None, **facts: Any) -> str:
    """One step as JSON."""
    said = {key: value for key, value in facts.items() if value is not None}
    return json.dumps({"step": name, "outcome": outcome, "ms": ms} | said)


class Trail:
    """One launch on its way from an IdP's answer to a session, or to a refusal.

    `began_at` and `answered_at` are milliseconds since 1970; `path` is where the learner was going, without its query.
    """

    def __init__(
        self, tenant: Tenant, *, reference: str, found: Found, began_at: int, answered_at: int, path: str
    ) -> None:
        self.tenant = tenant
        self.reference = reference
        self.found = found
        self.began_at = began_at
        self.path = path
        self.progress = Progress()
        self.tried: list[Tried] = []
        self.assertion: Assertion | None = None
        self.user_id: str | None = None
        self._begun = time.monotonic()
        self._under_way: StepName = "verified"
        self._steps: list[str] = []
        if found != "idp":
            self._steps = [step("asked", "passed", found=found)]
        waited = max(answered_at - began_at, 0)  # by the clocks of two nodes
        self._steps.append(step("answered", "passed", waited if found != "idp" else None))

    @property
    def steps(self) -> str:
        return f"[{', '.join(self._steps)}]"

    @property
    def steps_signed_in(self) -> str:
        """The steps as they are once the session has been opened, with which they are written."""
        return f"[{', '.join((*self._steps, step('signed_in', 'passed')))}]"

    def verified(self, assertion: Assertion) -> None:
        """The response was judged good, and is used for the first time: from here on the launch has a row."""
        self.assertion = assertion
        self._add("passed", checks=self._checks())
        self._under_way = "identified"

    def identified(self, user_id: str | None) -> None:
        self.user_id = user_id
        self._add("passed", tried=self._tried(), user=user_id)
        self._under_way = "signed_in"

    def failed(self, refusal: Refusal) -> None:
        """The step under way did not pass."""
        facts: dict[str, Any] = {"code": str(refusal.code), "reason": refusal.reason[:LONGEST_REASON]}
        if self._under_way == "verified":
            self.progress.fail()
            facts["checks"] = self._checks()
            found = getattr(refusal, "found", ())[:MOST_VALUES]
            facts["found"] = [value[:LONGEST] for value in found] or None
        elif self._under_way == "identified":
            facts["tried"] = self._tried()
        self._add("failed", **facts)

    @property
    def tier(self) -> str | None:
        """The tier of the last identifier that the assertion had."""
        return next((tried.entry.tier for tried in reversed(self.tried) if tried.value is not None), None)

    @property
    def source(self) -> str | None:
        """Where the assertion had it: an attribute's name, or `NameID`."""
        return next((tried.source for tried in reversed(self.tried) if tried.value is not None), None)

    def seen(self, *, everything: bool) -> dict[str, list[str]]:
        """What the IdP said of the person: under the tenant's identity entries, or as a whole; never more than fits."""
        said = {tried.source: [tried.value[:LONGEST]] for tried in self.tried if tried.value is not None}
        if not everything or self.assertion is None:
            return said
        if self.assertion.name_id:
            said.setdefault("NameID", [self.assertion.name_id[:LONGEST]])
        for attribute in self.assertion.attributes[:MOST_ATTRIBUTES]:
            said.setdefault(attribute.name[:LONGEST], [value[:LONGEST] for value in attribute.values[:MOST_VALUES]])
        return said

    def _add(self, outcome: Outcome, **facts: Any) -> None:
        now = time.monotonic()
        self._steps.append(step(self._under_way, outcome, round((now - self._begun) * 1000), **facts))
        self._begun = now

    def _checks(self) -> dict[str, str]:
        return {str(name): standing for name, standing in self.progress.standings()}

    def _tried(self) -> list[dict[str, str]]:
        return [
            {"source": tried.source, "tier": tried.entry.tier, "result": tried.result, "reason": tried.reason}
            for tried in self.tried
        ]
