"""Every hostile logout message of `cases.yaml` is refused by the check that is meant for it, and quickly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.hostile.saml.costs import assert_refused
from tests.saml.logouts import PARTY, SLO, idp, read

from .messages import Case, bindings, build

CASES: list[Case] = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text("utf-8"))
ARRIVALS = [(case, binding) for case in CASES for binding in bindings(case)]


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Keys and schemas are made once, outside of what is measured."""
    for binding in ("redirect", "post"):
        for kind in ("SAMLRequest", "SAMLResponse"):
            assert read(build({"name": "good", "kind": kind}, binding)).relay_state == "relay"


def test_names_are_unique():
    assert [name for name, count in Counter(case["name"] for case in CASES).items() if count > 1] == []


@pytest.mark.parametrize(("case", "binding"), ARRIVALS, ids=[f"{case['name']}, by {way}" for case, way in ARRIVALS])
def test_hostile_message(case, binding):
    expect = case.get("expect", {})
    provider = idp(*expect.get("keys", ["idp"]))
    if expect.get("keys") == []:
        provider = replace(provider, certificates=())
    party, sha1 = replace(PARTY, slo=expect.get("slo", SLO)), expect.get("accept_sha1", False)
    message = build(case, binding)
    assert_refused(lambda: read(message, provider, party, accept_sha1=sha1), case, "jane", "victim", "_session-1")


@pytest.mark.parametrize("cut", ["<!---->", "<?x y?>", "<![CDATA[]]>", "<!--&x;-->"])
@pytest.mark.parametrize("binding", ["redirect", "post"])
def test_nothing_cuts_a_value(cut, binding):
    """Comments are not covered by a form's signature, so the message is good; the whole value must be read."""
    case = {
        "name": "cut",
        "content": [{"set": {"at": "/*/saml:NameID", "to": "admin@victim.test.evil.test"}}],
        "text": [{"replace": {"old": ".evil.test<", "new": f"{cut}.evil.test<"}}],
    }
    assert read(build(case, binding)).subject.value == "admin@victim.test.evil.test"
