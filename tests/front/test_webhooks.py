"""Whose webhooks a secret may sign: taken from the settings in force, whatever they were before."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.front.webhooks import Webhooks, by_secret
from bridge.settings.model import Configuration
from bridge.simulator import seed
from bridge.store.engine import Store
from tests.support.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def secret_of_the_service(deployment: Deployment, secret: str | None) -> None:
    kombo = {"api_url": deployment.kombo_url, "api_key": seed.API_KEY}
    deployment.service["kombo"] = kombo | ({"webhook_secret": secret} if secret else {})


def found(configuration: Configuration) -> dict[str, set[str]]:
    return {secret: {each.slug for each in tenants.values()} for secret, tenants in by_secret(configuration).items()}


def test_each_secret_has_the_tenants_that_go_by_it(deployment: Deployment) -> None:
    secret_of_the_service(deployment, "ours")
    deployment.tenants["globex"]["kombo"]["webhook_secret"] = "theirs"
    deployment.tenants["initech"]["kombo"]["webhook_secret"] = "theirs"
    assert found(deployment.load()) == {"ours": {"acme", "vandelay"}, "theirs": {"globex", "initech"}}


def test_a_tenant_alone_may_have_one(deployment: Deployment) -> None:
    deployment.tenants["globex"]["kombo"]["webhook_secret"] = "theirs"
    assert found(deployment.load()) == {"theirs": {"globex"}}


def test_a_secret_that_no_tenant_goes_by_is_one_all_the_same(deployment: Deployment) -> None:
    secret_of_the_service(deployment, "ours")
    for tenant in deployment.tenants.values():
        tenant["kombo"]["webhook_secret"] = "theirs"
    assert found(deployment.load())["ours"] == set()


def test_an_integration_that_two_tenants_share_is_of_both_their_secrets(deployment: Deployment) -> None:
    deployment.tenants["acme"]["kombo"]["webhook_secret"] = "one"
    deployment.tenants["globex"]["kombo"] = {"integration_id": seed.ACME, "webhook_secret": "two"}
    assert found(deployment.load()) == {"one": {"acme"}, "two": {"globex"}}


def test_a_reload_counts_at_once(deployment: Deployment, store: Store) -> None:
    now = deployment.load()
    webhooks = Webhooks(store, lambda: now)
    assert not webhooks.exist
    deployment.tenants["globex"]["kombo"]["webhook_secret"] = "theirs"
    now = deployment.load()
    assert webhooks.exist
    del deployment.tenants["globex"]["kombo"]["webhook_secret"]
    now = deployment.load()
    assert not webhooks.exist
