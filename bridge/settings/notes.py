"""What is accepted in the settings but not carried out in this version, so that nobody relies on it unawares."""

from __future__ import annotations

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
