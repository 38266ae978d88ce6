"""A new tenant's file, with what its IdP then sends: the sample responses of `config/idps` find their people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.onboarding.facts import lms_of
from bridge.onboarding.tenant_file import Choices, written
from tests.config.test_idps import SHIPPED, answer, key, template, verified
from tests.support.rooms import Rooms
from tests.support.shapes import IDPS


@pytest.mark.parametrize("idp", SHIPPED)
async def test_whom_the_sample_names_is_found(rooms: Rooms, idp: str) -> None:
    shipped, deployment = SHIPPED[idp], rooms.deployment
    deployment.tenants.clear()
    deployment.public_url = "https://learn.example.com"
    integration = shipped.person.integration
    choices = Choices("acme", idp, lms_of(integration), "acme-idp.xml", "Acme", integration)
    _arrive(deployment.folder / "tenants", idp, written(choices))
    tenant = deployment.load().tenants["acme"]
    tenant = tenant.model_copy(
        update={"provider": replace(tenant.provider, certificates=(key().certificate_pem,)), "kombo": tenant.kombo}
    )
    await rooms.sync(tenant)
    match = await rooms.resolver.resolve(verified(tenant, answer(tenant, template(idp))), tenant)
    assert match.person is not None
    assert (match.person.id, match.tier) == (shipped.person.id, shipped.tier)


def _arrive(tenants: Path, idp: str, text: str) -> None:
    tenants.mkdir(parents=True)
    if idp == "adfs":  # whose sample has composite ids: the example that the file has for them is the one
        lines = text.splitlines()
        [example] = [line.replace("# ", "", 1) for line in lines if "remote_extract: '" in line]
        text = "\n".join(example if line.startswith("  - attribute") else line for line in lines)
    (tenants / "acme.yaml").write_text(text)
    (tenants / "acme-idp.xml").write_bytes((IDPS / idp / "metadata.xml").read_bytes())
