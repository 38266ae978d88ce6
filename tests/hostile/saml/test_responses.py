"""Every hostile response of `cases.yaml` is refused by the check that is meant for it, quickly, and changes nothing."""

from __future__ import annotations

import base64
from collections import Counter
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import xmlsec
import yaml
from lxml import etree

from bridge.errors import SamlRefusal
from bridge.saml.document import DSIG
from bridge.saml.verify import verify
from tests.saml.parts import NOW, encryption, expectation, key, provider, response, sp_key

from .costs import MEMORY_BYTES, assert_refused, cost_of
from .mutations import build

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text())
GOOD = cache(response)


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Keys and schemas are made once, outside of what is measured."""
    verify(GOOD(), expectation(), now=NOW)
    verify(response(encryption=encryption("sp")), expectation(keys=(sp_key("sp"),)), now=NOW)


def expected_by(case: dict[str, Any]):
    changes = dict(case.get("expect", {}))
    if "keys" in changes:
        changes["provider"] = provider(*changes.pop("keys"))
    ours = tuple(sp_key(name) for name in changes.pop("sp_keys", ["sp"]))
    return expectation(**changes, keys=ours)


def test_names_are_unique_and_every_finding_has_a_case():
    assert [name for name, count in Counter(case["name"] for case in CASES).items() if count > 1] == []
    covered = {finding for case in CASES for finding in case.get("findings", [])}
    elsewhere = {"F6", "F12", "F16", "F20", "F21", "F22"}
    assert {f"F{number}" for number in range(1, 24)} - elsewhere <= covered


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_hostile_response(case):
    message = build(case)
    expected = expected_by(case)
    assert_refused(lambda: verify(message, expected, now=NOW), case, "jane")
    assert verify(GOOD(), expectation(), now=NOW).name_id == "jane.doe"


def test_the_measure_sees_what_is_spent():
    """The limits above mean nothing if memory outside of Python, or memory that is freed at once, goes uncounted."""
    cost = cost_of(lambda: bytearray(2 * MEMORY_BYTES).count(0))
    assert cost.memory is None or cost.memory >= MEMORY_BYTES
    native = cost_of(lambda: etree.fromstring(b"<r>" + b"<a/>" * 600_000 + b"</r>", etree.XMLParser(huge_tree=True)))
    assert native.memory is None or native.memory >= MEMORY_BYTES
    assert cost_of(lambda: sum(range(3_000_000))).seconds > 0


@pytest.mark.parametrize("cut", ["<!---->", "<?x y?>", "<![CDATA[]]>", "<!--&x;-->"])
def test_nothing_cuts_a_value(cut):
    """Comments and the like are not covered by a signature, so the message is good; the whole value must be read."""
    message = build(
        {
            "options": {"name_id": "admin@victim.test.evil.test"},
            "text": [{"replace": {"old": ".evil.test<", "new": f"{cut}.evil.test<"}}],
        }
    )
    assert cut.encode() in base64.b64decode(message)
    assert verify(message, expectation(), now=NOW).name_id == "admin@victim.test.evil.test"


def test_the_same_assertion_has_the_same_id_and_end_each_time():
    """F12: replay is for the caller to refuse, who remembers the id until the end."""
    first, second = (verify(GOOD(), expectation(), now=NOW) for _ in range(2))
    assert (first.id, first.expires) == (second.id, second.expires)
    later = first.expires + timedelta(seconds=1)
    with pytest.raises(SamlRefusal):
        verify(GOOD(), expectation(), now=later)


def test_an_assertion_is_remembered_until_its_last_confirmation_ends():
    """One that fits now and one that fits later: the assertion could come again after the first has ended."""
    case = {
        "content": [
            {"copy": {"what": "//saml:SubjectConfirmation", "to": "//saml:Subject"}},
            {"set": {"at": "//saml:SubjectConfirmation[2]/*", "name": "NotOnOrAfter", "to": "{{now+2880}}"}},
            {"set": {"at": "//saml:Conditions", "name": "NotOnOrAfter", "to": "{{now+60}}"}},
        ]
    }
    assertion = verify(build(case), expectation(), now=NOW)
    assert assertion.expires == NOW + timedelta(minutes=61)


def test_without_input_callbacks_libxmlsec_opens_no_file(tmp_path):
    """The second lock behind the profile (F3, F4): even a signature that names a file is not followed."""
    (tmp_path / "data").write_bytes(b"data")
    root = etree.fromstring(f'<r xmlns:ds="{DSIG}"/>')
    signature = xmlsec.template.create(
        root, xmlsec.constants.TransformExclC14N, xmlsec.constants.TransformRsaSha256, ns="ds"
    )
    root.append(signature)
    uri = (tmp_path / "data").as_uri()
    xmlsec.template.add_reference(signature, xmlsec.constants.TransformSha256, uri=uri)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(key("idp").private_pem, xmlsec.constants.KeyDataFormatPem)
    with pytest.raises(xmlsec.Error):
        context.sign(signature)
