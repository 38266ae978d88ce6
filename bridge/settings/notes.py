"""Settings in use that nobody should rely on: without effect where they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bridge.settings.model import Configuration


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
