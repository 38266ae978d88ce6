"""Whatever becomes of a signed logout message: it is refused, or it says what the IdP signed."""

from __future__ import annotations

import contextlib
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SamlRefusal
from bridge.saml.logout import LogoutAnswer, LogoutMessage, LogoutRequest, read_logout
from bridge.saml.redirect import MAX_INFLATED, inflate
from tests.saml.logouts import ANSWER, PARTY, REQUEST, deflated, idp, octets, signed_query
from tests.saml.parts import NOW

from .mutations import damaged

QUERIES = [
    signed_query(octets(REQUEST.encode())),
    signed_query(octets(REQUEST.encode(), relay_state=None)),
    signed_query(octets(ANSWER.encode(), "SAMLResponse")),
]
BOMB = deflated(b"<a>" + b" " * 300_000)
PACKED = [deflated(REQUEST.encode()), deflated(b""), BOMB]


def read(query: bytes) -> LogoutRequest | LogoutAnswer | None:
    try:
        message = LogoutMessage.from_query(query)
        return read_logout(message, idp(), PARTY, now=NOW, clock_skew=timedelta(seconds=60))
    except SamlRefusal as refusal:
        assert refusal.check != "internal", refusal.reason
        return None


SAID = [read(query) for query in QUERIES]


def test_the_seeds_are_accepted() -> None:
    assert None not in SAID


@given(st.data())
def test_a_damaged_query(data: st.DataObject) -> None:
    said = read(data.draw(damaged(QUERIES) | st.binary(max_size=200)))
    assert said is None or said in SAID


@given(st.data())
def test_what_is_inflated_is_bounded(data: st.DataObject) -> None:
    packed = data.draw(damaged(PACKED) | st.binary(max_size=2000))
    with contextlib.suppress(SamlRefusal):
        assert len(inflate(packed)) <= MAX_INFLATED
