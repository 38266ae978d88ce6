"""Settings in use that nobody should rely on: not carried out in this version, or without effect where they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bridge.settings.model import Configuration, Service, Tenant


@dataclass(frozen=True, slots=True)
class Note:
    """One such setting that is in use; `tenant` is None for the service's own."""

    setting: str
    message: str
    tenant: str | None = None

    def __str__(self) -> str:
        where = f"tenant {self.tenant}" if self.tenant else "service"
        return f"{where}: `{self.setting}` is accepted but not carried out in this version: {self.message}"


_Rule = tuple[str, Callable[[Any], Any], str]

NOT_YET_SERVICE: tuple[_Rule, ...] = (
    (
        "internal_token",
        lambda service: service.internal_token,
        "there is neither `/completions` nor the admin page, and whoever reaches `internal_listen` reads the rest",
    ),
    ("completions", lambda service: service.completions, "no completion is reported to Kombo"),
    ("completion_header", lambda service: service.completion_header, "no completion is reported to Kombo"),
    (
        "kombo.webhook_secret",
        lambda service: service.kombo.webhook_secret,
        "there is no webhook URL; the directory is brought up to date every `kombo.sync_every`",
    ),
)
NOT_YET_TENANT: tuple[_Rule, ...] = (
    ("on_launch: enroll", lambda tenant: tenant.on_launch == "enroll", "nobody is enrolled"),
)


def not_yet(configuration: Configuration) -> Iterator[Note]:
    """Every setting in use that has no effect yet."""
    service: Service = configuration.service
    yield from (Note(setting, message) for setting, used, message in NOT_YET_SERVICE if used(service))
    for slug, tenant in configuration.tenants.items():
        yield from (Note(setting, message, slug) for setting, used, message in _of(tenant, service) if used(tenant))


def _of(tenant: Tenant, service: Service) -> Iterator[_Rule]:
    yield from NOT_YET_TENANT
    if tenant.kombo.webhook_secret != service.kombo.webhook_secret:
        yield next(rule for rule in NOT_YET_SERVICE if rule[0] == "kombo.webhook_secret")


def without_effect(configuration: Configuration) -> Iterator[str]:
    """Every setting in use that does nothing beside the others, or beside the IdP's metadata, and what to do."""
    doors = Counter(tenant.party.former_acs for tenant in configuration.tenants.values())
    plain = configuration.service.public_url.startswith("http:")
    for slug, tenant in configuration.tenants.items():
        if tenant.saml.single_logout and not tenant.provider.logout:
            yield (
                f"tenant {slug}: `saml.single_logout` has no effect: the IdP's metadata offers no SingleLogoutService."
                " Ask its administrators for one, or remove the line"
            )
        if tenant.saml.idp_initiated and tenant.party.former_acs and doors[tenant.party.former_acs] > 1:
            yield (
                f"tenant {slug}: `saml.idp_initiated` has no effect at {tenant.party.former_acs}, which several tenants"
                f" share: nobody can say whose answer it is. Let the IdP send such answers to {tenant.party.acs}"
            )
        if tenant.in_frames == "inside" and plain:
            yield (
                f"tenant {slug}: `in_frames: inside` has no effect on plain http, where browsers keep no cookies for a"
                " frame: write an https `public_url`"
            )
