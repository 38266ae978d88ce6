"""Launches through an identity provider that we did not write, with the bridge as a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import pytest_asyncio

from bridge.demo.responses import IdpKey
from bridge.simulator import seed
from tests.real.chromium import chromium, profile, tab
from tests.real.customers import (
    ASSERTION,
    BOTH,
    NEITHER,
    PEOPLE,
    RESPONSE,
    STRANGER,
    Scene,
    by_file,
    open_scene,
    platform,
    said,
    sign_in,
)
from tests.real.simplesamlphp import PASSWORD, SimpleSamlPhp
from tests.real.visitor import Visitor
from tests.support.deployment import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
ENCRYPTED = {"assertion.encryption": True}
FOR_SOMEBODY_ELSE = {
    "keys": [
        {
            "type": "X509Certificate",
            "X509Certificate": IdpKey.generate("somebody else").certificate_base64,
            "encryption": True,
            "signing": False,
        }
    ]
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    def prepare(deployment: Deployment, idp: SimpleSamlPhp) -> None:
        by_file(deployment, idp)
        deployment.tenants["initech"]["saml"]["signed"] = "both"
        deployment.tenants["globex"]["saml"] |= {"idp_initiated": True, "sign_requests": True}

    async with open_scene(tmp_path_factory, prepare) as found:
        yield found


@pytest.mark.parametrize(
    ("tenant", "user", "course", "signed", "match"),
    [
        ("acme", "jane", "cybersecurity-101", ASSERTION, "name_id"),
        ("acme", "jane", "cybersecurity-101", RESPONSE, "name_id"),
        ("acme", "jane", "cybersecurity-101", BOTH, "name_id"),
        ("globex", "rita", "code-of-conduct", ASSERTION, "attribute"),
        ("globex", "ana", "code-of-conduct", RESPONSE, "attribute"),
        ("globex", "otto", "code-of-conduct", BOTH, "attribute"),
        ("globex", "kim", "code-of-conduct", BOTH, "attribute"),
        ("initech", "peter", "data-privacy-basics", BOTH, "email"),
        ("initech", "milton", "fire-safety", BOTH, "email"),
    ],
)
async def test_a_launch(scene: Scene, tenant: str, user: str, course: str, signed: dict[str, bool], match: str) -> None:
    await scene.register(tenant, signed)
    person, link = PEOPLE[user], scene.link(tenant, f"/courses/{course}?chapter=2&x=%20y")
    async with Visitor() as visitor:
        prompt = await visitor.open(link)
        assert str(prompt.url).startswith(scene.idp.origin)
        confirmed = await sign_in(visitor, prompt, user)
        assert bool(said(confirmed, "ds:Signature")) == signed["saml20.sign.response"]
        assert bool(said(confirmed, "saml:Assertion/ds:Signature")) == signed["saml20.sign.assertion"]
        [name_id] = said(confirmed, "//saml:NameID/text()")
        assert (name_id == person.remote_id) == (match == "name_id"), "the other tiers match by something else"
        shown = await visitor.send(confirmed)
    told = platform(shown)
    assert str(shown.url) == link, "the deep link, kept as it was"
    assert told["x-kombo-user"] == person.id
    assert told["x-kombo-remote-id"] == person.remote_id
    assert told["x-kombo-tenant"] == tenant
    assert told["x-kombo-course"] == course
    assert jwt.decode(told["x-kombo-assertion"], options={"verify_signature": False})["match"] == match


async def test_a_wrong_password_gives_no_session(scene: Scene) -> None:
    await scene.register("acme", ASSERTION)
    link = scene.link("acme", "/courses/cybersecurity-101")
    async with Visitor() as visitor:
        again = await sign_in(visitor, await visitor.open(link), "jane", "wrong")
        assert "Incorrect username or password" in again.answer.text
        assert not [name for name in visitor.client.cookies if name.startswith("kombo-bridge-session")]
        assert "username" in (await visitor.open(link)).fields, "back at the IdP's prompt"
        confirmed = await sign_in(visitor, again, "jane")
        assert platform(await visitor.send(confirmed))["x-kombo-user"] == seed.JANE.id, "the second attempt counts"


@pytest.mark.parametrize(
    ("tenant", "user", "code"),
    [
        ("acme", STRANGER, "user_unmatched"),
        ("globex", STRANGER, "user_unmatched"),
        ("initech", STRANGER, "user_unmatched"),
        ("acme", "martin", "user_inactive"),
    ],
)
async def test_a_person_who_may_not_learn(scene: Scene, tenant: str, user: str, code: str) -> None:
    await scene.register(tenant, BOTH)
    before = len(scene.stage.received)
    async with Visitor() as visitor:
        prompt = await visitor.open(scene.link(tenant, "/courses/code-of-conduct"))
        refused = await visitor.send(await sign_in(visitor, prompt, user))
        assert (refused.refused, refused.answer.status_code) == (code, 403)
        assert scene.stage.refusal()["reference"] in refused.answer.text
        assert "kombo-bridge-session" not in visitor.client.cookies
    assert len(scene.stage.received) == before, "nothing reached the platform"


async def test_the_idps_own_session_needs_no_prompt(scene: Scene) -> None:
    await scene.register("acme", ASSERTION)
    async with Visitor() as visitor:
        prompt = await visitor.open(scene.link("acme", "/my"))
        platform(await visitor.send(await sign_in(visitor, prompt, "jane")))
        await visitor.open(f"{scene.stage.origin}/_bridge/logout")
        confirmed = await visitor.open(scene.link("acme", "/courses/cybersecurity-101"))
        assert "SAMLResponse" in confirmed.fields, "no prompt this time"
        shown = await visitor.send(confirmed)
        assert str(shown.url) == scene.link("acme", "/courses/cybersecurity-101")
        assert platform(shown)["x-kombo-user"] == seed.JANE.id


async def test_a_login_that_the_idp_began_is_begun_anew(scene: Scene) -> None:
    """The tenant does not allow IdP-initiated logins: the answer is dropped, and the IdP asked for one of our own."""
    await scene.register("acme", ASSERTION)
    async with Visitor() as visitor:
        prompt = await visitor.open(scene.idp.unsolicited(scene.entity_id("acme"), "/courses/cybersecurity-101"))
        unasked = await sign_in(visitor, prompt, "jane")
        assert not said(unasked, "//@InResponseTo")
        asked = await visitor.send(unasked)
        assert said(asked, "//@InResponseTo"), "the bridge asked for an answer of its own"
        assert platform(await visitor.send(asked))["x-kombo-user"] == seed.JANE.id


@pytest.mark.parametrize("relay_state", ["/courses/code-of-conduct?chapter=2&x=%20y", "{origin}/my", ""])
async def test_a_login_that_the_idp_began_counts_where_the_tenant_opted_in(scene: Scene, relay_state: str) -> None:
    """Its RelayState is a path on the platform, or an address there."""
    await scene.register("globex", BOTH)
    relay_state = relay_state.format(origin=scene.stage.origin)
    async with Visitor() as visitor:
        prompt = await visitor.open(scene.idp.unsolicited(scene.entity_id("globex"), relay_state))
        unasked = await sign_in(visitor, prompt, "rita")
        assert not said(unasked, "//@InResponseTo")
        shown = await visitor.send(unasked)
        told = platform(shown)
        assert (told["x-kombo-tenant"], told["x-kombo-user"]) == ("globex", seed.RITA.id)
        assert str(shown.url) == f"{scene.stage.origin}{relay_state.removeprefix(scene.stage.origin) or '/'}"


async def test_a_login_that_the_idp_began_counts_once(scene: Scene) -> None:
    await scene.register("globex", BOTH)
    async with Visitor() as visitor, Visitor() as thief:
        prompt = await visitor.open(scene.idp.unsolicited(scene.entity_id("globex"), "/my"))
        unasked = await sign_in(visitor, prompt, "rita")
        platform(await visitor.send(unasked))
        again = await thief.send(unasked)
        assert again.refused, "nobody gets in by an answer that somebody has used"
        assert not [name for name in thief.client.cookies if name.startswith("kombo-bridge-session")]


async def test_requests_are_signed_for_an_idp_that_wants_it(scene: Scene) -> None:
    await scene.register("globex", BOTH | {"validate.authnrequest": True})
    await scene.register("acme", BOTH | {"validate.authnrequest": True})
    async with Visitor() as visitor:
        assert platform(await scene.launch(visitor, "globex", "rita"))["x-kombo-user"] == seed.RITA.id
    async with Visitor() as visitor:
        unsigned = await visitor.open(scene.link("acme", "/my"))
        assert "no signature found on message" in unsigned.answer.text, "SimpleSAMLphp's own words"


async def test_an_answer_counts_once(scene: Scene) -> None:
    await scene.register("acme", ASSERTION)
    async with Visitor() as visitor, Visitor() as thief:
        prompt = await visitor.open(scene.link("acme", "/courses/cybersecurity-101"))
        confirmed = await sign_in(visitor, prompt, "jane")
        thief.client.cookies.update(
            {name: value for name, value in visitor.client.cookies.items() if "kombo-bridge-login" in name}
        )
        assert platform(await visitor.send(confirmed))["x-kombo-user"] == seed.JANE.id
        assert "kombo-bridge-session" not in (await thief.send(confirmed), thief.client.cookies)[1]


async def test_back_to_the_idps_page_and_on_again(scene: Scene) -> None:
    await scene.register("acme", ASSERTION)
    link = scene.link("acme", "/courses/cybersecurity-101")
    async with Visitor() as visitor:
        confirmed = await sign_in(visitor, await visitor.open(link), "jane")
        await visitor.send(confirmed)
        again = await visitor.send(confirmed)
        if "SAMLResponse" in again.answer.text:
            again = await visitor.send(again)
        assert platform(again)["x-kombo-user"] == seed.JANE.id
        assert str(again.url) == link


@pytest.mark.parametrize(
    ("tenant", "options", "check", "words"),
    [
        ("initech", ASSERTION, "signature_missing", "wants: both"),
        ("initech", RESPONSE, "signature_missing", "wants: both"),
        ("acme", NEITHER, "signature_missing", "signed: nothing"),
        ("acme", ASSERTION | ENCRYPTED, "cbc_unsigned", "sign the response too"),
        ("acme", BOTH | ENCRYPTED | FOR_SOMEBODY_ELSE, "decryption", "cannot be decrypted"),
        ("acme", BOTH | {"nameid.encryption": True}, "encrypted", "not NameIDs"),
        ("acme", BOTH | {"signature.algorithm": SHA1}, "sha1", "SHA-1"),
    ],
    ids=[
        "assertion, not both",
        "response, not both",
        "unsigned",
        "CBC in an unsigned response",
        "encrypted for somebody else",
        "encrypted NameID",
        "SHA-1",
    ],
)
async def test_an_idp_configured_otherwise_is_refused(
    scene: Scene, tenant: str, options: dict[str, Any], check: str, words: str
) -> None:
    await scene.register(tenant, options)
    async with Visitor() as visitor:
        prompt = await visitor.open(scene.link(tenant, "/my"))
        confirmed = await sign_in(visitor, prompt, "jane")
        encrypted = bool(options.keys() & {"assertion.encryption", "nameid.encryption"})
        assert bool(said(confirmed, "//xenc:EncryptedData")) == encrypted
        refused = await visitor.send(confirmed)
        assert (refused.refused, refused.answer.status_code) == ("saml_rejected", 403)
        assert "kombo-bridge-session" not in visitor.client.cookies
    logged = scene.stage.refusal()
    assert logged["reference"] in refused.answer.text
    assert (logged["check"], logged["tenant"]) == (check, tenant)
    assert words in logged["reason"]
    assert words not in refused.answer.text, "the reason is the operator's"


@pytest.mark.parametrize("options", [RESPONSE, BOTH], ids=["response", "both"])
async def test_an_encrypted_assertion_in_a_signed_response(scene: Scene, options: dict[str, Any]) -> None:
    """SimpleSAMLphp encrypts with AES-128-CBC, for the certificate that it has from our own metadata."""
    await scene.register("acme", options | ENCRYPTED)
    async with Visitor() as visitor:
        confirmed = await sign_in(visitor, await visitor.open(scene.link("acme", "/my")), "jane")
        [cipher] = said(confirmed, "//xenc:EncryptedData/xenc:EncryptionMethod/@Algorithm")
        assert cipher.endswith("#aes128-cbc")
        assert not said(confirmed, "//saml:NameID")
        assert platform(await visitor.send(confirmed))["x-kombo-user"] == seed.JANE.id


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "rsa-sha384", "rsa-sha512"])
async def test_the_signature_algorithms_of_today(scene: Scene, algorithm: str) -> None:
    options = {"signature.algorithm": f"http://www.w3.org/2001/04/xmldsig-more#{algorithm}"}
    await scene.register("acme", BOTH | options)
    async with Visitor() as visitor:
        confirmed = await sign_in(visitor, await visitor.open(scene.link("acme", "/my")), "jane")
        assert set(said(confirmed, "//ds:SignatureMethod/@Algorithm")) == set(options.values())
        assert platform(await visitor.send(confirmed))["x-kombo-user"] == seed.JANE.id


async def test_an_answer_for_another_tenant_is_refused(scene: Scene) -> None:
    """One IdP for two tenants: what it says to one is nothing to the other."""
    await scene.register("acme", BOTH)
    await scene.register("initech", BOTH)
    async with Visitor() as visitor:
        asked_by_acme = await visitor.open(scene.link("acme", "/my"))
        for_acme = await sign_in(visitor, asked_by_acme, "jane")
        for_initech = await visitor.open(scene.link("initech", "/my"))
        mixed = {"SAMLResponse": for_acme.fields["SAMLResponse"]}
        refused = await visitor.send(for_initech, **mixed)
        assert refused.refused == "saml_rejected"
        assert scene.stage.refusal()["tenant"] == "initech"


async def test_where_the_idp_lost_its_beginning_the_login_is_made_once_more(scene: Scene) -> None:
    """SimpleSAMLphp then goes on as if the login had begun at its own side, and sends our RelayState along."""
    await scene.register("acme", ASSERTION)
    link = scene.link("acme", "/courses/cybersecurity-101")
    async with Visitor() as visitor:
        prompt = await visitor.open(link)
        shutil.rmtree(scene.idp.folder / "sessions")
        (scene.idp.folder / "sessions").mkdir()
        restarted = await visitor.send(prompt, username="jane", password=PASSWORD)
        unasked = await sign_in(visitor, restarted, "jane")
        assert not said(unasked, "//@InResponseTo")
        assert unasked.fields["RelayState"]
        asked = await visitor.send(unasked)
        assert asked.refused is None, scene.stage.refusal()
        assert said(asked, "//@InResponseTo")
        shown = await visitor.send(asked)
        assert platform(shown)["x-kombo-user"] == seed.JANE.id
        assert str(shown.url) == link


async def test_in_a_real_browser_there_and_back(scene: Scene) -> None:
    await scene.register("acme", BOTH)
    link = scene.link("acme", "/courses/cybersecurity-101?chapter=2")
    async with chromium() as browser, profile(browser) as context:
        tab_ = await tab(context)
        page = tab_.page
        await page.goto(link)
        await page.fill("[name=username]", "jane")
        await page.fill("[name=password]", PASSWORD)
        shown = await tab_.until_at(scene.stage.origin, page.keyboard.press("Enter"))
        assert (shown.status, page.url) == (200, link)
        assert dict((await shown.json())["headers"])["x-kombo-user"] == seed.JANE.id
        # Its page of that login is gone, so SimpleSAMLphp starts over, as if the login had begun at its own side.
        back = await tab_.until_at(scene.stage.origin, page.go_back())
        assert (back.headers.get("bridge-error"), page.url) == (None, link)
