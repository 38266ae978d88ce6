"""Settings that say more than happens: each is named once, with what to do, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.settings.notes import without_effect
from tests.support.deployment import Deployment

FORMER = "http://127.0.0.1:8080/Shibboleth.sso/SAML2/POST"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_a_plain_deployment_needs_no_word(deployment: Deployment) -> None:
    assert list(without_effect(deployment.load())) == []


def test_a_logout_that_no_idp_takes(deployment: Deployment) -> None:
    deployment.tenants["acme"]["saml"]["single_logout"] = True
    [note] = without_effect(deployment.load())
    assert note.startswith("tenant acme: `saml.single_logout` has no effect: ")


def test_an_acs_where_nobody_can_say_whose_answer_it_is(deployment: Deployment) -> None:
    acme, globex = deployment.tenants["acme"]["saml"], deployment.tenants["globex"]["saml"]
    acme |= {"idp_initiated": True, "sp_acs": FORMER}
    assert list(without_effect(deployment.load())) == []
    globex["sp_acs"] = FORMER
    [note] = without_effect(deployment.load())
    assert note.startswith(f"tenant acme: `saml.idp_initiated` has no effect at {FORMER}, which several ")
    assert note.endswith("http://127.0.0.1:8080/_bridge/saml/acme/acs")


@pytest.mark.parametrize(("public_url", "count"), [("http://127.0.0.1:8080", 1), ("https://learn.example.com", 0)])
def test_cookies_that_no_browser_keeps_in_a_frame(deployment: Deployment, public_url: str, count: int) -> None:
    deployment.public_url = public_url
    deployment.tenants["acme"]["in_frames"] = "inside"
    notes = list(without_effect(deployment.load()))
    assert [note.partition(":")[0] for note in notes] == ["tenant acme"] * count
