"""A response that did not pass, as the cases look at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bridge.explain.change import Change, Write, tenant_file, write
from bridge.explain.judged import Judged
from bridge.explain.said import Said
from bridge.printable import printable
from bridge.saml.model import SpKey
from bridge.settings.document import KeyPath
from bridge.settings.model import Configuration, Tenant
from bridge.settings.values import FormerAcs, Word

_BEHIND_THE_SIGNATURES = frozenset({"audience", "recipient"})
_WORDS: Mapping[str, TypeAdapter[str]] = {"sp_entity_id": TypeAdapter(Word), "sp_acs": TypeAdapter(FormerAcs)}


@dataclass(frozen=True, slots=True)
class Failed:
    """The rule that it failed, and what stood there instead (`found`).

    `received` is when the service got it; `judged` is there where the response itself is, and `keys` are our own.
    """

    configuration: Configuration
    tenant: Tenant
    check: str
    reason: str
    found: Sequence[str]
    received: datetime
    judged: Judged | None = None
    keys: Sequence[SpKey] = ()

    @property
    def said(self) -> Said | None:
        return self.judged.said if self.judged else None

    @property
    def file(self) -> str:
        return tenant_file(self.configuration, self.tenant.slug)

    @property
    def others(self) -> Sequence[Tenant]:
        return [tenant for slug, tenant in self.configuration.tenants.items() if slug != self.tenant.slug]

    @property
    def metadata_url(self) -> str:
        """Where the customer's IT finds everything that its IdP needs to know of us."""
        return f"{self.configuration.service.public_url}/_bridge/saml/{self.tenant.slug}/metadata"

    def write(self, path: KeyPath, value: Any) -> Write:
        return write(self.configuration, self.tenant, path, value)

    def would_help(self, **saml: Any) -> bool:
        """Whether the response is the IdP's, and gets further with these `saml` settings.

        Where it is not there, only what is read after its signatures were verified is believed to be the IdP's.
        """
        if not self._fits(saml):
            return False
        if self.judged is None:
            return self.check in _BEHIND_THE_SIGNATURES
        tenant = self.tenant.model_copy(update={"saml": self.tenant.saml.model_copy(update=saml)})
        if entity_id := saml.get("sp_entity_id"):
            tenant = tenant.model_copy(update={"party": replace(tenant.party, entity_id=entity_id)})
        if acs := saml.get("sp_acs"):
            tenant = tenant.model_copy(update={"party": replace(tenant.party, former_acs=acs)})
        return self.judged.would_get_further(tenant)

    def _fits(self, saml: Mapping[str, Any]) -> bool:
        """Whether a tenant's file may have these settings as they stand."""
        try:
            return all(_WORDS[name].validate_python(value) == value for name, value in saml.items() if name in _WORDS)
        except ValidationError:
            return False


Case = Callable[[Failed], Change | None]
Cases = Mapping[str, Sequence[Case]]
"""By the check that was failed, in the order in which they are tried."""


def quoted(value: str) -> str:
    """Something of the message's own, on one line."""
    return f'"{printable(value)}"'


def listed(values: Sequence[str]) -> str:
    return ", ".join(map(quoted, values)) or "nothing"
