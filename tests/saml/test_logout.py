from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from threading import Thread

import pytest
from lxml import etree

from bridge.errors import MetadataError, SamlRefusal
from bridge.saml.document import DSIG, tag
from bridge.saml.logout import LogoutAnswer, LogoutMessage, LogoutRequest, logout_request, logout_response
from bridge.saml.model import Endpoint, IdentityProvider, NameId, ServiceProvider
from bridge.saml.post import post
from bridge.saml.profile import read_profile
from bridge.saml.signature import verified
from bridge.saml.signing import fill_signature, place_signature

from .logouts import (
    ANSWER,
    IDP_SLO,
    PARTY,
    POST,
    REDIRECT,
    REQUEST,
    SKEW,
    SLO,
    idp,
    parameters,
    query,
    read,
    tree,
)
from .parts import ENTITY_ID, ISSUER, NOW, SCHEMAS, key, sp_key

JANE = NameId("jane.doe", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", ISSUER, ENTITY_ID)
US = IdentityProvider(ENTITY_ID, (sp_key("sp").certificate_pem,), None, logout=(Endpoint("redirect", SLO),))
"""The bridge, as the IdP sees it; and the IdP as a party."""
THEM = ServiceProvider(ISSUER, "", IDP_SLO)


def form(text: str, kind: str = "SAMLRequest", relay_state: str | None = "relay", signer: str = "idp"):
    """An IdP's message by HTTP-POST."""
    return dict(post(SLO, kind, etree.fromstring(text), relay_state, key(signer)).fields or {})


def asked(provider=None, subject=JANE, session_index="_session-1", relay_state="relay"):
    return logout_request(provider or idp(), PARTY, subject, session_index, sp_key("sp"), relay_state, NOW)


def answered(provider=None, relay_state=None, binding="redirect", **options):
    return logout_response(provider or idp(), PARTY, "_logout-1", sp_key("sp"), relay_state, binding, NOW, **options)


BINDINGS = {"redirect": query, "post": lambda kind: form({"SAMLRequest": REQUEST, "SAMLResponse": ANSWER}[kind], kind)}


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_request_is_read(binding):
    message = BINDINGS[binding]("SAMLRequest")
    assert read(message) == LogoutRequest(
        id="_logout-1",
        subject=JANE,
        session_indexes=("_session-1",),
        relay_state="relay",
        binding=binding,
        issued=NOW,
        expires=NOW + timedelta(minutes=6),
    )


@pytest.mark.parametrize("binding", BINDINGS)
def test_an_answer_is_read(binding):
    assert read(BINDINGS[binding]("SAMLResponse")) == LogoutAnswer("_ours", True, "relay")


def test_a_message_says_what_it_claims_to_be_before_it_is_read():
    assert LogoutMessage.from_query(query("SAMLResponse")).kind == "SAMLResponse"
    assert LogoutMessage.from_form(form(REQUEST)).kind == "SAMLRequest"


def test_nothing_of_a_message_is_shown():
    for message in (LogoutMessage.from_query(query()), LogoutMessage.from_form(form(REQUEST))):
        assert len(repr(message)) < 300


@pytest.mark.parametrize("value", ["Responder", "Requester", "success"])
def test_an_answer_may_say_no(value):
    assert read(query("SAMLResponse", document=ANSWER.replace("Success", value).encode())) == LogoutAnswer(
        "_ours", False, "relay"
    )


def test_a_partial_logout_is_the_idps_own_success():
    second = '><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:PartialLogout"/></samlp:StatusCode>'
    text = ANSWER.replace('Success"/>', f'Success"{second}')
    assert read(query("SAMLResponse", document=text.encode())).success


def test_an_answer_without_in_response_to_says_so():
    text = ANSWER.replace('InResponseTo="_ours"', "")
    assert read(query("SAMLResponse", document=text.encode())).in_response_to is None


def test_a_request_without_session_indexes_is_for_all_sessions():
    text = REQUEST.replace("<samlp:SessionIndex>_session-1</samlp:SessionIndex>", "")
    assert read(query(document=text.encode())).session_indexes == ()


def test_several_session_indexes_are_read_once_each():
    more = "".join(f"<samlp:SessionIndex> {name} </samlp:SessionIndex>" for name in ("a", "b", "a"))
    text = REQUEST.replace("</samlp:LogoutRequest>", f"{more}</samlp:LogoutRequest>")
    assert read(query(document=text.encode())).session_indexes == ("_session-1", "a", "b")


def test_an_extension_means_nothing_here():
    """Shibboleth says so that it waits for no answer."""
    extension = (
        '</saml:Issuer><samlp:Extensions><aslo:Asynchronous xmlns:aslo="urn:oasis:names:tc:SAML:2.0:protocol:ext:'
        'async-slo"/></samlp:Extensions>'
    )
    text = REQUEST.replace("</saml:Issuer>", extension)
    assert read(query(document=text.encode())).subject == JANE
    assert read(form(text)).subject == JANE


def test_without_an_end_a_request_is_remembered_while_its_age_lets_it_in():
    text = REQUEST.replace('NotOnOrAfter="2026-03-02T09:35:00Z"', "").encode()
    assert read(query(document=text)).expires == NOW + timedelta(hours=1) + SKEW
    far = REQUEST.replace("09:35:00Z", "23:35:00Z").encode()
    assert read(query(document=far)).expires == NOW + timedelta(hours=1) + SKEW


@pytest.mark.parametrize("seconds", [-60, 0, 359])
def test_clocks_may_differ_by_the_skew(seconds):
    assert read(query(), now=NOW + timedelta(seconds=seconds)).id == "_logout-1"


@pytest.mark.parametrize("message", [query(), form(REQUEST)], ids=["redirect", "post"])
def test_a_request_is_refused_from_its_end_on(message):
    expires = read(message).expires
    with pytest.raises(SamlRefusal) as caught:
        read(message, now=expires)
    assert caught.value.check == "not_on_or_after"


def test_nothing_but_a_refusal_is_raised(monkeypatch):
    """Whatever breaks inside: here a certificate that cannot be loaded."""
    broken = replace(idp(), certificates=("broken",))
    for message in (query(), form(REQUEST)):
        with pytest.raises(SamlRefusal) as caught:
            read(message, broken)
        assert (caught.value.code, caught.value.check) == ("saml_rejected", "internal")


def test_our_request_names_the_person_by_all_that_makes_the_name_one_persons():
    made = asked()
    root = tree(made.send)
    etree.XMLSchema(file=str(SCHEMAS / "saml-schema-protocol-2.0.xsd")).assertValid(root)
    name = root.find(tag("saml:NameID"))
    assert (root.get("ID"), root.get("Destination")) == (made.id, IDP_SLO)
    assert root.get("NotOnOrAfter") == "2026-03-02T09:35:00Z"
    assert name.text == "jane.doe"
    assert dict(name.attrib) == {"Format": JANE.format, "NameQualifier": ISSUER, "SPNameQualifier": ENTITY_ID}
    assert [index.text for index in root.iterchildren(tag("samlp:SessionIndex"))] == ["_session-1"]


def test_what_the_idp_did_not_say_is_left_out():
    root = tree(asked(subject=NameId("jane & <doe>"), session_index=None).send)
    name = root.find(tag("saml:NameID"))
    assert (name.text, dict(name.attrib)) == ("jane & <doe>", {})
    assert root.find(tag("samlp:SessionIndex")) is None


def test_our_request_is_signed_as_we_would_read_it():
    """The two ends of the conversation, with the parts swapped."""
    made = asked()
    said = read(made.send.url.partition("?")[2].encode(), US, THEM)
    assert isinstance(said, LogoutRequest)
    assert (said.id, said.subject, said.session_indexes) == (made.id, JANE, ("_session-1",))
    with pytest.raises(SamlRefusal, match="no signing certificate"):
        read(made.send.url.partition("?")[2].encode(), replace(US, certificates=idp().certificates), THEM)


def test_our_answer_is_signed_as_we_would_read_it():
    made = answered(relay_state="their state")
    assert made.url.startswith(f"{REDIRECT.response_url}?SAMLResponse=")
    etree.XMLSchema(file=str(SCHEMAS / "saml-schema-protocol-2.0.xsd")).assertValid(tree(made))
    them = ServiceProvider(ISSUER, "", REDIRECT.answers)
    said = read(made.url.partition("?")[2].encode(), US, them)
    assert said == LogoutAnswer("_logout-1", True, "their state")
    failed = read(answered(success=False).url.partition("?")[2].encode(), US, them)
    assert failed == LogoutAnswer("_logout-1", False, None)


def test_where_an_idp_takes_only_forms_they_are_signed_within():
    provider = idp(logout=[POST])
    for sent in (asked(provider).send, answered(provider)):
        assert sent.url == POST.url
        assert not parameters(sent).keys() & {"SigAlg", "Signature"}
        root = tree(sent)
        assert root.get("Destination") == POST.url
        etree.XMLSchema(file=str(SCHEMAS / "saml-schema-protocol-2.0.xsd")).assertValid(root)
        signed = verified(root, read_profile(root), (sp_key("sp").certificate_pem,))
        assert signed.get("ID") == root.get("ID")
    made = asked(provider).send.fields
    assert read(made, US, ServiceProvider(ISSUER, "", POST.url)).subject == JANE


@pytest.mark.parametrize(
    ("offered", "binding", "url"),
    [
        ([REDIRECT, POST], "redirect", REDIRECT.answers),
        ([POST, REDIRECT], "post", POST.url),
        ([REDIRECT], "post", REDIRECT.answers),
        ([POST], "redirect", POST.url),
    ],
)
def test_an_answer_goes_by_the_requests_binding_if_it_can(offered, binding, url):
    assert answered(idp(logout=offered), binding=binding).url.partition("?")[0] == url


def test_a_request_goes_by_redirect_if_it_can():
    assert asked(idp(logout=[POST, REDIRECT])).send.fields is None


def test_an_idp_without_an_address_is_told_nothing():
    for make in (asked, answered):
        with pytest.raises(MetadataError, match="SingleLogoutService"):
            make(idp(logout=[]))


def test_our_relay_state_is_short_and_theirs_goes_back_whole():
    with pytest.raises(ValueError, match="80 bytes"):
        asked(relay_state="x" * 81)
    assert parameters(answered(relay_state="x" * 500))["RelayState"] == "x" * 500
    assert "RelayState" not in parameters(asked(relay_state=None).send)


def test_a_form_signed_with_sha_1_is_read_where_a_tenant_opted_in():
    root = etree.fromstring(REQUEST)
    signature = place_signature(root, key("idp"))
    for name, algorithm in (("SignatureMethod", "rsa-sha1"), ("DigestMethod", "sha1")):
        next(signature.iter(tag(f"ds:{name}"))).set("Algorithm", f"{DSIG}{algorithm}")
    fill_signature(signature, key("idp"))
    fields = {"SAMLRequest": base64.b64encode(etree.tostring(root)).decode()}
    assert read(fields, accept_sha1=True).subject == JANE
    with pytest.raises(SamlRefusal, match="SHA-1"):
        read(fields)


def test_line_breaks_in_the_forms_base64_are_fine():
    fields = form(REQUEST)
    lines = base64.encodebytes(base64.b64decode(fields["SAMLRequest"])).decode()
    assert read({**fields, "SAMLRequest": lines}).subject == JANE


def test_threads_read_side_by_side():
    wrong: list[object] = []

    def work() -> None:
        messages = (query(), form(REQUEST)) * 20
        wrong.extend(message for message in messages if read(message).subject != JANE)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
