"""Once more where the IdP may have new keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.demo.responses import IdpKey, signed_response
from bridge.errors import SamlRefusal
from bridge.front.judge import Judge
from bridge.front.turns import Turns
from bridge.settings.model import Configuration, Tenant
from tests.support.deployment import Deployment, idp_key
from tests.support.keys import held_keys

NEW = IdpKey.generate("the IdP's new key")


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Deployment(tmp_path).load()


def said(tenant: Tenant, **more: Any) -> str:
    arguments: dict[str, Any] = {
        "issuer": tenant.provider.entity_id,
        "acs": tenant.party.acs,
        "audience": tenant.party.entity_id,
        "in_response_to": "_asked",
        "name_id": "somebody",
        "now": datetime.now(UTC),
        **more,
    }
    return signed_response(arguments.pop("key", NEW), **arguments)


class Metadata:
    """An IdP's metadata, which has the new key from the next look on, or does not."""

    def __init__(self, configuration: Configuration, *, renewed: bool) -> None:
        self.now = configuration
        self.looks = 0
        self._renewed = renewed

    async def refresh(self, tenant: Tenant) -> bool:
        self.looks += 1
        if self._renewed:
            keys = (*tenant.provider.certificates, NEW.certificate_pem)
            fresh = tenant.model_copy(update={"provider": replace(tenant.provider, certificates=keys)})
            self.now = replace(self.now, tenants={**self.now.tenants, tenant.slug: fresh})
        return self._renewed

    def judge(self) -> Judge:
        return Judge(held_keys(), Turns(), lambda: self.now, self.refresh)


async def test_a_new_key_is_found_once_the_metadata_has_it(configuration: Configuration) -> None:
    metadata, tenant = Metadata(configuration, renewed=True), configuration.tenants["acme"]
    for request_id in ("_asked", None):
        response = said(tenant, in_response_to=request_id)
        assertion = await metadata.judge().judge(response, tenant, request_id, tenant.party.acs)
        assert assertion.name_id == "somebody"


async def test_where_nothing_is_new_the_refusal_stands(configuration: Configuration) -> None:
    metadata, tenant = Metadata(configuration, renewed=False), configuration.tenants["acme"]
    with pytest.raises(SamlRefusal) as refused:
        await metadata.judge().judge(said(tenant), tenant, "_asked", tenant.party.acs)
    assert (refused.value.check, metadata.looks) == ("signature", 1)


async def test_a_key_that_stays_unknown_is_looked_for_once(configuration: Configuration) -> None:
    metadata, tenant = Metadata(configuration, renewed=True), configuration.tenants["acme"]
    response = said(tenant, key=IdpKey.generate("nobody's"))
    with pytest.raises(SamlRefusal) as refused:
        await metadata.judge().judge(response, tenant, "_asked", tenant.party.acs)
    assert (refused.value.check, metadata.looks) == ("signature", 1)


@pytest.mark.parametrize(
    "wrong",
    [{"audience": "https://other.example"}, {"in_response_to": "_other"}, {"sign": "none"}, {"issuer": "other"}],
    ids=str,
)
async def test_other_refusals_ask_nobody(configuration: Configuration, wrong: dict[str, Any]) -> None:
    metadata, tenant = Metadata(configuration, renewed=True), configuration.tenants["acme"]
    with pytest.raises(SamlRefusal):
        await metadata.judge().judge(said(tenant, key=idp_key(), **wrong), tenant, "_asked", tenant.party.acs)
    assert metadata.looks == 0


async def test_a_tenant_that_went_away_meanwhile_is_refused(configuration: Configuration) -> None:
    metadata, tenant = Metadata(configuration, renewed=True), configuration.tenants["acme"]

    async def refresh(tenant: Tenant) -> bool:
        metadata.now = replace(configuration, tenants={})
        return True

    judge = Judge(held_keys(), Turns(), lambda: metadata.now, refresh)
    with pytest.raises(SamlRefusal) as refused:
        await judge.judge(said(tenant), tenant, "_asked", tenant.party.acs)
    assert refused.value.check == "signature"


async def test_without_a_refresh_nothing_is_judged_twice(configuration: Configuration) -> None:
    tenant = configuration.tenants["acme"]
    with pytest.raises(SamlRefusal):
        judge = Judge(held_keys(), Turns(), lambda: configuration)
        await judge.judge(said(tenant), tenant, "_asked", tenant.party.acs)
