from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.demo.responses import IdpKey
from bridge.saml.verify import verify

from .parts import NOW, expectation, key, response


def test_a_key_and_its_certificate_belong_together():
    own = key("idp")
    assert IdpKey.from_pem(own.private_pem, own.certificate_pem) == own
    with pytest.raises(ValueError, match="not the key's"):
        IdpKey.from_pem(own.private_pem, key("other").certificate_pem)


def test_curves_may_be_chosen():
    assert "BEGIN CERTIFICATE" in IdpKey.generate("x", curve=ec.SECP384R1()).certificate_pem


@pytest.mark.parametrize(("attributes", "read"), [(None, []), ({"a": "x"}, [("a", ("x",))]), ({"a": []}, [("a", ())])])
def test_attributes_are_optional(attributes, read):
    assertion = verify(response(attributes=attributes), expectation(), now=NOW)
    assert [(attribute.name, attribute.values) for attribute in assertion.attributes] == read


@pytest.mark.parametrize("name_id", [None, "", " \n\t "])
def test_a_name_id_is_optional(name_id):
    assertion = verify(response(name_id=name_id), expectation(), now=NOW)
    assert assertion.subject is None


def test_text_is_read_exactly():
    name = "  Ångström & <Söhne> \N{GREEK SMALL LETTER ALPHA}\N{ZERO WIDTH NON-JOINER}, 'x' \"y\" \N{NO-BREAK SPACE}"
    assertion = verify(response(name_id=name), expectation(), now=NOW)
    assert assertion.name_id == name.strip(" ")
