"""Whatever becomes of a good response: it is refused, or it says of the learner what its IdP signed."""

from __future__ import annotations

import base64
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Code, SamlRefusal
from bridge.saml.model import Assertion
from bridge.saml.verify import verify
from tests.saml.parts import NOW, encryption, expectation, response, shape, shape_names, sp_key

from .mutations import damaged, rearranged


@cache
def seeds() -> list[bytes]:
    """A signed response in the shape of each IdP, and ours in each way of signing and encrypting."""
    made = [*map(shape, shape_names()), *(response(sign=sign) for sign in ("assertion", "response", "both"))]
    made += [response(sign="assertion", encryption=encryption(detached=detached)) for detached in (False, True)]
    made += [response(sign=sign, encryption=encryption(content="aes128-cbc")) for sign in ("response", "both")]
    return [base64.b64decode(message) for message in made]


def what_it_says(message: bytes) -> tuple[object, ...] | None:
    """The identity in a message that is accepted; None where it is refused, in the two ways that there are."""
    try:
        found = verify(base64.b64encode(message), expectation(keys=(sp_key("sp"),)), now=NOW)
    except SamlRefusal as refusal:
        assert refusal.code in (Code.SAML_REJECTED, Code.SAML_MALFORMED)
        assert refusal.check != "internal", refusal.reason
        return None
    return identity(found)


def identity(found: Assertion) -> tuple[object, ...]:
    return found.id, found.subject, found.attributes, found.session_index


@cache
def signed() -> frozenset[tuple[object, ...]]:
    """What the IdP said in the seeds; every one of them is accepted as it is."""
    said = [what_it_says(seed) for seed in seeds()]
    assert None not in said
    return frozenset(one for one in said if one is not None)


@given(st.data())
def test_damaged_bytes(data: st.DataObject) -> None:
    said = what_it_says(data.draw(damaged(seeds())))
    assert said is None or said in signed()


@given(st.data())
def test_a_rearranged_tree(data: st.DataObject) -> None:
    said = what_it_says(data.draw(rearranged(seeds())))
    assert said is None or said in signed()


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_noise(noise: bytes) -> None:
    assert what_it_says(noise) is None
    try:
        verify(noise, expectation(), now=NOW)
    except SamlRefusal as refusal:
        assert refusal.check != "internal", refusal.reason
    else:
        raise AssertionError("noise was accepted")
