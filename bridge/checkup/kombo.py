"""What Kombo says of one tenant's integration now. Nothing is ever tried by writing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bridge.checkup.findings import Finding, of_integration
from bridge.checkup.needs import COURSES, PROGRESSIONS, USERS, Need
from bridge.directory.standing import ACTIVE, COMPLETED
from bridge.errors import KomboError, KomboRefused, KomboUnavailable
from bridge.kombo.client import KomboClient
from bridge.kombo.meanings import meaning
from bridge.kombo.model import Capability, Integration
from bridge.kombo.pauses import Patience
from bridge.moments import moment
from bridge.printable import printable
from bridge.settings.model import Tenant
from bridge.store.engine import moment_ms
from bridge.store.rows import Model

PATIENCE = Patience(page=8.0, attempt=4.0, attempts=2, longest_pause=2.0)
"""Somebody waits at a terminal."""

SHORTEST_CUT = 6
"""Characters of a key from which its beginning tells more than of which kind it is."""

_READ_AS: Mapping[str, Model] = {USERS: "users", COURSES: "courses", PROGRESSIONS: "progressions"}


@dataclass(frozen=True, slots=True)
class KomboAnswer:
    """`granted` has every need that Kombo says something of; `environment` is that of the key, where it is good."""

    environment: str | None = None
    integration: Integration | None = None
    granted: Mapping[Need, bool] = field(default_factory=dict)
    findings: Sequence[Finding] = ()


async def ask(
    client: KomboClient,
    tenant: Tenant,
    needs: Sequence[Need],
    environment: Callable[[], Awaitable[str]],
    slugs: Iterable[str],
) -> KomboAnswer:
    """How the integration stands. `environment` asks whose the key is; tenants with one key share the answer."""
    known: str | None = None
    try:
        known = _safe(await environment())
        found = await client.integration()
    except KomboError as error:
        return KomboAnswer(known, findings=[_unanswered(tenant, error, known)])
    if found.id != tenant.integration_id:
        says = f"Kombo answers about another integration, {_safe(found.id)}: ask Kombo."
        return KomboAnswer(known, findings=[Finding("broken", says)])
    granted = _granted(found, needs)
    findings = [*_doubts(found, tenant, slugs), *_missing(granted, needs)]
    if found.status == ACTIVE and found.setup_status in (None, COMPLETED):
        refused = await _refused(client, tenant, [need for need in needs if granted.get(need, True)])
        granted |= dict.fromkeys(refused, False)
        findings += refused.values()
    return KomboAnswer(known, found, granted, findings)


def _granted(found: Integration, needs: Iterable[Need]) -> dict[Need, bool]:
    models = {each.id: each for each in found.read_models}
    actions = {each.id: each for each in found.write_actions}
    granted = {}
    for need in needs:
        of = (models if need.kind == "read" else actions).get(need.id)
        if of and need.field:
            of = Capability(need.name, is_available=of.is_available and _field(of, need.field))
        if of:
            granted[need] = of.is_available
    return granted


def _field(model: Capability, name: str) -> bool:
    """A field of which Kombo says nothing is not missing."""
    return next((each.is_available for each in model.fields if each.id == name), True)


def _missing(granted: Mapping[Need, bool], needs: Iterable[Need]) -> list[Finding]:
    """One that lacks a whole model is not told of each of its fields."""
    without = {need.id for need, given in granted.items() if not given and not need.field}
    found = []
    for need in needs:
        if need not in granted:
            if need.vital:
                says = f"Kombo says nothing of {need.name}, which is needed {need.what_for}: see Kombo's dashboard."
                found.append(Finding("attention", says))
        elif not granted[need] and not (need.field and need.id in without):
            says = (
                f"The integration may not {need.kind} {need.name}, which is needed {need.what_for}: allow it in its"
                " scope configuration in Kombo, if the LMS offers it."
            )
            found.append(Finding("broken" if need.vital else "attention", says))
    return found


async def _refused(client: KomboClient, tenant: Tenant, needs: Iterable[Need]) -> dict[Need, Finding]:
    """Of what Kombo says may be read, or says nothing of, what it refuses all the same."""
    found = {}
    for need in needs:
        model = _READ_AS.get(need.id)
        if not (need.vital and model and not need.field):
            continue
        try:
            await client.try_to_read(model)
        except KomboError as error:
            says = f"Reading {model} from Kombo fails, which is needed {need.what_for}: {_reason(tenant, error)}."
            found[need] = Finding("broken" if isinstance(error, KomboRefused) else "attention", says)
    return found


def _doubts(found: Integration, tenant: Tenant, slugs: Iterable[str]) -> list[Finding]:
    doubts = of_integration(found.status, found.setup_status)
    if found.data_expired_at:
        when = _moment(found.data_expired_at)
        says = f"The integration's configuration in Kombo has changed{when}; Kombo has yet to sync since."
        doubts.append(Finding("attention", says))
    other = found.end_user.origin_id if found.end_user else None
    if other and other != tenant.slug and other in slugs:
        says = (
            f"Kombo has the integration {tenant.integration_id} as that of {_safe(other)}: see whether"
            " `kombo.integration_id` was copied from that tenant's file."
        )
        doubts.append(Finding("attention", says))
    return doubts


def _moment(changed: datetime) -> str:
    """Nothing where the moment is none of the store's, such as year 9999 in another zone."""
    try:
        return f" at {moment(moment_ms(changed))}"
    except (OverflowError, ValueError):
        return ""


def _unanswered(tenant: Tenant, error: KomboError, environment: str | None) -> Finding:
    if isinstance(error, KomboUnavailable):
        says = f"Kombo cannot be asked at {tenant.kombo.api_url}: {_reason(tenant, error)}. Try again later."
    elif environment is None:
        says = f"Kombo does not take `kombo.api_key`: {_reason(tenant, error)}. Write that of the right environment."
    else:
        says = (
            f"Kombo says nothing of the integration {tenant.integration_id}: {_reason(tenant, error)}. The key is good,"
            f" for the environment {environment}."
        )
    return Finding("broken", says)


def _reason(tenant: Tenant, error: KomboError) -> str:
    """Whatever stands in an answer may repeat the key."""
    said, key = str(error), tenant.kombo.api_key.get_secret_value()
    for length in range(len(key), min(len(key), SHORTEST_CUT) - 1, -1):  # its beginning, where the answer was cut
        said = said.replace(key[:length], "…")
    means = meaning(error.kombo_code) if isinstance(error, KomboRefused) else None
    return _safe(f"{said}; {means}" if means else said)


def _safe(text: str) -> str:
    return printable(text)[:500]
