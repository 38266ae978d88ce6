from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import Code, Refusal
from bridge.identity.identifier import asserted
from bridge.saml.model import Assertion, Attribute, NameId
from bridge.settings.model import IdentityEntry

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SPOILT = Attribute("lms_user_id", "id", (), "a value has a line break")


def assertion(*attributes: Attribute) -> Assertion:
    end = NOW + timedelta(minutes=5)
    return Assertion("_a", "idp", NameId("jane"), attributes, NOW, NOW, None, None, end, None)


def entry(attribute: str, **options: str) -> IdentityEntry:
    return IdentityEntry.model_validate({"tier": "attribute", "source": attribute, **options})


def test_an_unreadable_attribute_that_nobody_asks_for_does_no_harm():
    said = assertion(SPOILT, Attribute("mail", None, ("jane@acme.com",)))
    assert asserted(said, entry("mail")) == "jane@acme.com"
    assert asserted(said, entry("other")) is None


@pytest.mark.parametrize("name", ["lms_user_id", "id"])
@pytest.mark.parametrize("on_miss", ["refuse", "next"])
def test_an_unreadable_identifier_is_refused_and_never_passed_over(name: str, on_miss: str):
    """It is there, so a weaker entry after it must not decide; and the operator reads which attribute, and why."""
    with pytest.raises(Refusal) as caught:
        asserted(assertion(SPOILT), entry(name, on_miss=on_miss))
    assert caught.value.code is Code.IDENTIFIER_MISSING
    assert f"the attribute {name}" in caught.value.reason
    assert "line break" in caught.value.reason


def test_a_readable_name_counts_before_an_unreadable_friendly_name():
    said = assertion(SPOILT, Attribute("id", None, ("E-1",)))
    assert asserted(said, entry("id")) == "E-1"
