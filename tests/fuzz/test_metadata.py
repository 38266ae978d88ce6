"""Whatever becomes of an IdP's metadata: it is refused with a sentence, or it names an IdP that can be used."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bridge.demo.responses import idp_metadata
from bridge.errors import MetadataError
from bridge.saml.metadata import read_idp_metadata
from tests.saml.parts import ISSUER, key

from .mutations import damaged, rearranged

EXAMPLE = Path(__file__).parents[2] / "config/tenants/acme-idp.xml"
SEEDS = [EXAMPLE.read_bytes(), idp_metadata(ISSUER, key("idp"), "https://idp.example.com/sso")]


def read(document: bytes) -> None:
    try:
        found = read_idp_metadata(document)
    except MetadataError as error:
        assert str(error)
        return
    provider = found.provider
    assert provider.entity_id.strip()
    assert provider.certificates
    endpoints = [provider.sso_redirect, provider.sso_post, *(endpoint.url for endpoint in provider.logout)]
    assert all(url.startswith(("https://", "http://localhost", "http://127.")) for url in endpoints if url)


@given(st.data())
def test_damaged_bytes(data: st.DataObject) -> None:
    read(data.draw(damaged(SEEDS)))


@given(st.data())
def test_a_rearranged_tree(data: st.DataObject) -> None:
    read(data.draw(rearranged(SEEDS)))


@given(st.binary(max_size=300))
def test_noise(noise: bytes) -> None:
    read(noise)
