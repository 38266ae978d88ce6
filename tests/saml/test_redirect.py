"""The HTTP-Redirect binding: what we write by it, and what of others' queries is read."""

from __future__ import annotations

import base64
import tracemalloc
import zlib
from urllib.parse import quote, urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree

from bridge.errors import SamlRefusal
from bridge.saml.redirect import MAX_INFLATED, inflate, redirect

from .logouts import (
    ANSWER,
    MORE,
    REQUEST,
    RSA_SHA256,
    deflated,
    idp,
    octets,
    parameters,
    query,
    read,
    signed_query,
)
from .parts import key

SAML_ENCODING = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE"
URL = "https://idp.test/slo"


def sent(relay_state: str | None = "a&b=ü", url: str = URL, signer: str | None = "sp") -> str:
    return redirect(url, "SAMLRequest", etree.fromstring(REQUEST), relay_state, key(signer) if signer else None).url


def test_the_signature_is_over_the_octets_in_the_bindings_order():
    """Verified by other means than our own (bindings 3.4.4.1)."""
    signed, _, value = sent().removeprefix(f"{URL}?").partition("&Signature=")
    assert [part.partition("=")[0] for part in signed.split("&")] == ["SAMLRequest", "RelayState", "SigAlg"]
    certificate = x509.load_pem_x509_certificate(key("sp").certificate_pem.encode())
    found = base64.b64decode(value.replace("%2F", "/").replace("%2B", "+").replace("%3D", "="), validate=True)
    certificate.public_key().verify(found, signed.encode(), padding.PKCS1v15(), SHA256())


def test_without_a_relay_state_there_is_none_and_without_a_key_no_signature():
    assert [part.partition("=")[0] for part in sent(relay_state=None).split("?")[1].split("&")] == [
        "SAMLRequest",
        "SigAlg",
        "Signature",
    ]
    assert "SigAlg" not in sent(signer=None)
    assert "Signature" not in sent(signer=None)


def test_the_relay_state_is_sent_exactly():
    made = redirect(URL, "SAMLResponse", etree.fromstring(ANSWER), "ü&x=%41+ ", key("sp"))
    assert parameters(made)["RelayState"] == "ü&x=%41+ "


def test_the_algorithm_follows_the_key():
    made = redirect(URL, "SAMLRequest", etree.fromstring(REQUEST), None, key("ec-sp"))
    assert parameters(made)["SigAlg"] == f"{MORE}ecdsa-sha256"


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("signer", ["idp", "ec-idp"])
def test_rsa_and_ecdsa_with_sha_2_are_read(signer, digest):
    algorithm = f"{MORE}{'ecdsa' if signer.startswith('ec') else 'rsa'}-{digest}"
    assert read(query(signer=signer, algorithm=algorithm), idp("other", signer)).subject.value == "jane.doe"


def test_sha_1_is_read_where_a_tenant_opted_in():
    message = query(algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1")
    assert read(message, accept_sha1=True).subject.value == "jane.doe"
    with pytest.raises(SamlRefusal, match="SHA-1"):
        read(message)


@pytest.mark.parametrize("relay_state", [None, "", "relay", "a&b=c ü+%"])
def test_a_relay_state_is_read_exactly(relay_state):
    assert read(query(relay_state=relay_state)).relay_state == relay_state


def test_parameters_may_stand_in_any_order_beside_others():
    """The order is that of the signed octets; the URL may have another, and parameters that mean nothing here."""
    parts = query().split(b"&")
    assert read(b"&".join([b"tenant=acme", *reversed(parts), b"", b"x"])).relay_state == "relay"


def test_the_octets_count_as_they_came():
    """IdPs encode in capitals or not, or encode what they need not (3.4.4.1: use the original values)."""
    text = octets(REQUEST.encode())
    for odd in (text.replace("%2F", "%2f").replace("%3D", "="), text.replace("=relay", "=%72elay")):
        assert odd != text
        assert read(signed_query(odd)).relay_state == "relay"


def test_an_encoding_may_be_named():
    assert read(query() + b"&" + urlencode({"SAMLEncoding": SAML_ENCODING}).encode()).relay_state == "relay"


@pytest.mark.parametrize("level", [0, 1, 9])
def test_however_the_idp_deflates(level):
    packer = zlib.compressobj(level, wbits=-15)
    packed = packer.compress(REQUEST.encode()) + packer.flush()
    text = f"SAMLRequest={quote(base64.b64encode(packed), safe='')}&SigAlg={quote(RSA_SHA256, safe='')}"
    assert read(signed_query(text)).id == "_logout-1"


def test_inflating_stops_at_64_kib():
    assert inflate(deflated(b"x" * MAX_INFLATED)) == b"x" * MAX_INFLATED
    for packed in (deflated(b"x" * (MAX_INFLATED + 1)), deflated(b"x" * 50_000_000)):
        tracemalloc.start()
        with pytest.raises(SamlRefusal) as caught:
            inflate(packed)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert caught.value.check == "size"
        assert peak < 1_000_000


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xff", deflated(b"<x/>")[:-1], deflated(b"<x/>") + b"\0", deflated(b"x", 15)]
)
def test_only_whole_deflate_data_is_inflated(data):
    with pytest.raises(SamlRefusal) as caught:
        inflate(data)
    assert (caught.value.code, caught.value.check) == ("saml_malformed", "deflate")
