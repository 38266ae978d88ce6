"""The identity headers, as a platform reads them."""

from __future__ import annotations

from urllib.parse import unquote

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from bridge.stamp.assertion import Signer
from bridge.stamp.headers import Stamp, encode
from bridge.stamp.identity import Access, Learner
from bridge.stamp.keys import KeyRing, SigningKey

KEY = generate_private_key(SECP256R1())
RING = KeyRing((SigningKey("kid", KEY),))
ALICE = Learner(
    tenant="acme",
    integration_id="workday:x",
    match="name_id",
    auth_time=1_700_000_000,
    user_id="u1",
    remote_id="E1",
    email="alice@acme.com",
    name="Älice % Ünal",
    email_trusted=True,
)
NAMES = {
    "X-Kombo-User",
    "X-Kombo-Remote-Id",
    "X-Kombo-Tenant",
    "X-Kombo-Integration",
    "X-Kombo-Email",
    "X-Kombo-Name",
    "X-Kombo-Course",
    "X-Kombo-Enrollment",
    "X-Kombo-Progression",
    "X-Kombo-Assertion",
}


def stamp(**extra: str) -> Stamp:
    return Stamp(Signer(lambda: RING, issuer="https://learn.example.com", audience="content"), extra)


def read(block: bytes) -> dict[str, str]:
    assert block.endswith(b"\r\n")
    lines = block.decode("ascii").removesuffix("\r\n").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def claims(block: bytes) -> dict[str, object]:
    token = read(block)["X-Kombo-Assertion"]
    return jwt.decode(token, KEY.public_key(), algorithms=["ES256"], audience="content")


def test_every_header_is_written_even_where_there_is_nothing_to_say() -> None:
    for block in (stamp().block(None), stamp().block(ALICE)):
        assert set(read(block)) == NAMES
    assert [name for name, value in read(stamp().block(None)).items() if value] == ["X-Kombo-Assertion"]


def test_a_learner_in_a_course() -> None:
    block = stamp().block(ALICE, Access("cyber-101", "ENROLLED", "fresh", "p1"))
    headers = read(block)
    assert headers["X-Kombo-User"] == "u1"
    assert headers["X-Kombo-Course"] == "cyber-101"
    assert headers["X-Kombo-Enrollment"] == "ENROLLED"
    assert headers["X-Kombo-Progression"] == "p1"
    assert headers["X-Kombo-Name"] == "%C3%84lice %25 %C3%9Cnal"
    said = claims(block)
    assert said.pop("exp") == said.pop("iat") + 60
    assert said == {
        "iss": "https://learn.example.com",
        "aud": "content",
        "sub": "acme:u1",
        "tenant": "acme",
        "integration_id": "workday:x",
        "kombo_user": "u1",
        "remote_id": "E1",
        "email": "alice@acme.com",
        "name": "Älice % Ünal",
        "match": "name_id",
        "auth_time": 1_700_000_000,
        "course": "cyber-101",
        "enrollment": "ENROLLED",
        "progression": "p1",
        "gate": "fresh",
    }


def test_claims_with_nothing_to_say_are_absent() -> None:
    assert set(claims(stamp().block(None))) == {"iss", "aud", "iat", "exp"}
    unmatched = Learner("acme", "workday:x", "name_id", 1, subject="abc")
    assert claims(stamp().block(unmatched))["sub"] == "acme:unmatched:abc"
    assert "kombo_user" not in claims(stamp().block(unmatched))


def test_the_token_names_its_key_and_type() -> None:
    head = jwt.get_unverified_header(read(stamp().block(ALICE))["X-Kombo-Assertion"])
    assert head == {"alg": "ES256", "kid": "kid", "typ": "kombo-identity+jwt"}


@pytest.mark.parametrize(("name", "left_out"), [("ü" * 200, {"name"}), ("x", set())])
def test_a_long_token_loses_the_name_then_the_address(name: str, left_out: set[str]) -> None:
    from dataclasses import replace

    block = stamp().block(replace(ALICE, name=name, remote_id="r" * 400))
    assert len(read(block)["X-Kombo-Assertion"]) < 2048
    assert {"name", "email"} - set(claims(block)) == left_out
    both = stamp().block(replace(ALICE, name=name, email="e" * 900, remote_id="r" * 400))
    assert len(read(both)["X-Kombo-Assertion"]) < 2048
    assert {"name", "email"} - set(claims(both)) == {"name", "email"}


def test_an_address_outside_the_tenants_domains_is_no_identity_of_its_own() -> None:
    from dataclasses import replace

    extra = stamp(**{"X-Remote-User": "email", "X-Sub": "sub"})
    assert read(extra.block(ALICE))["X-Remote-User"] == "alice@acme.com"
    outside = read(extra.block(replace(ALICE, email_trusted=False)))
    assert outside["X-Remote-User"] == ""
    assert outside["X-Kombo-Email"] == "alice@acme.com"
    assert outside["X-Sub"] == "acme:u1"
    assert read(extra.block(None))["X-Sub"] == ""


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        " ",
        "   ",
        " both ends ",
        "a b",
        "100%",
        "%41",
        "Älice",
        "a\r\nX-Kombo-User: evil",
        "\x00",
        "\x7f",
        "\t",
        "日本",
        "\u2028",
        "a" * 500,
    ],
)
def test_encoded_values_are_printable_ascii_and_come_back_exactly(text: str) -> None:
    encoded = encode(text)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert encoded == encoded.strip(" ")
    assert unquote(encoded, errors="strict") == text
