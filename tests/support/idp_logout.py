"""An IdP's side of single logout, played by hand.

Messages are written as text and signed by `cryptography` and libxmlsec directly: what the bridge makes of them is not
judged by the bridge's own writing.
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import sqlite3
import zlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.sax.saxutils import escape, quoteattr

import httpx
import lxml.html
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from bridge.demo.responses import IdpKey, idp_metadata
from bridge.session.sessions import session_name
from bridge.simulator import seed
from tests.support.deployment import Deployment, idp_key
from tests.support.stage import PAGE, Browser, Stage

Kind = Literal["SAMLRequest", "SAMLResponse"]
Binding = Literal["redirect", "post"]

SESSION = "kombo-bridge-session"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
BINDINGS: dict[Binding, str] = {
    "redirect": "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect",
    "post": "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST",
}
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
RESPONDER = "urn:oasis:names:tc:SAML:2.0:status:Responder"
NAMES = {
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}
_SPACES = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMES.items() if prefix != "ds")


def offer_logout(
    deployment: Deployment, slug: str, *bindings: Binding, answers: str | None = None, single_logout: bool = True
) -> None:
    """Give the tenant's IdP addresses for logout; `answers` is another one for LogoutResponses."""
    entity = deployment.idp_entity_id(slug)
    services = "".join(
        f'<md:SingleLogoutService Binding="{BINDINGS[binding]}" Location="{entity}/slo"'
        + (f" ResponseLocation={quoteattr(answers)}" if answers else "")
        + "/>"
        for binding in bindings
    )
    plain = idp_metadata(entity, idp_key(), f"{entity}/sso").decode()
    folder = deployment.folder / "tenants"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{slug}-slo.xml").write_text(plain.replace("<md:NameIDFormat>", f"{services}<md:NameIDFormat>", 1))
    deployment.tenants[slug]["saml"] |= {"metadata": f"{slug}-slo.xml", "single_logout": single_logout}


@dataclass
class Idp:
    """One tenant's IdP, as it sends messages to the bridge's SLO address."""

    issuer: str
    slo: str
    key: IdpKey

    @classmethod
    def of(cls, deployment: Deployment, slug: str, origin: str | None = None) -> Idp:
        slo = f"{origin or deployment.public_url}/_bridge/saml/{slug}/slo"
        return cls(deployment.idp_entity_id(slug), slo, idp_key())

    def request(
        self, name_id: str, *indexes: str, now: datetime | None = None, name: str = "", **changes: str | None
    ) -> str:
        """A LogoutRequest; `name` is further XML attributes of the NameID, `changes` replace attributes of the root."""
        content = f"<saml:NameID{name}>{escape(name_id)}</saml:NameID>"
        content += "".join(f"<samlp:SessionIndex>{escape(index)}</samlp:SessionIndex>" for index in indexes)
        return self._message("LogoutRequest", content, now, changes)

    def answer(self, in_response_to: str | None, status: str = SUCCESS, **changes: str | None) -> str:
        """A LogoutResponse."""
        content = f'<samlp:Status><samlp:StatusCode Value="{status}"/></samlp:Status>'
        return self._message("LogoutResponse", content, None, {"InResponseTo": in_response_to, **changes})

    def _message(self, root: str, content: str, now: datetime | None, changes: Mapping[str, str | None]) -> str:
        issuer = changes.get("Issuer", self.issuer)
        attributes = {
            "ID": f"_{secrets.token_hex(16)}",
            "Version": "2.0",
            "IssueInstant": f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "Destination": self.slo,
            **{name: value for name, value in changes.items() if name != "Issuer"},
        }
        said = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items() if value is not None)
        return (
            f"<samlp:{root} {_SPACES} {said}><saml:Issuer>{escape(issuer or '')}</saml:Issuer>{content}</samlp:{root}>"
        )

    async def send(
        self,
        client: httpx.AsyncClient,
        message: str,
        binding: Binding,
        relay_state: str | None = None,
        *,
        key: IdpKey | Literal["none"] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The message by way of a browser, from the IdP's page."""
        signer = None if key == "none" else key or self.key
        headers = {"Sec-Fetch-Site": "cross-site", **(headers or {})}
        if binding == "redirect":
            return await client.get(f"{self.slo}?{by_redirect(message, relay_state, signer)}", headers=headers)
        return await client.post(self.slo, data=by_post(message, relay_state, signer), headers=headers)


def kind_of(message: str) -> Kind:
    return "SAMLResponse" if message.startswith("<samlp:LogoutResponse") else "SAMLRequest"


def by_redirect(message: str, relay_state: str | None, key: IdpKey | None) -> str:
    """The query of the HTTP-Redirect binding."""
    packer = zlib.compressobj(wbits=-15)
    packed = base64.b64encode(packer.compress(message.encode()) + packer.flush()).decode()
    fields = {kind_of(message): packed} | ({} if relay_state is None else {"RelayState": relay_state})
    if key is None:
        return urlencode(fields)
    query = urlencode({**fields, "SigAlg": RSA_SHA256})
    private: Any = load_pem_private_key(key.private_pem, None)
    signature = base64.b64encode(private.sign(query.encode(), PKCS1v15(), SHA256())).decode()
    return f"{query}&Signature={quote(signature, safe='')}"


def by_post(message: str, relay_state: str | None, key: IdpKey | None) -> dict[str, str]:
    """The fields of the HTTP-POST binding."""
    written = sign(message, key) if key else message
    fields = {kind_of(message): base64.b64encode(written.encode()).decode()}
    return fields if relay_state is None else {**fields, "RelayState": relay_state}


def sign(message: str, key: IdpKey) -> str:
    """The message with an enveloped signature after its Issuer."""
    root = etree.fromstring(message)
    signature = xmlsec.template.create(
        root, xmlsec.constants.TransformExclC14N, xmlsec.constants.TransformRsaSha256, ns="ds"
    )
    reference = xmlsec.template.add_reference(signature, xmlsec.constants.TransformSha256, uri=f"#{root.get('ID')}")
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
    root.insert(1, signature)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(key.private_pem, xmlsec.constants.KeyDataFormatPem)
    context.register_id(root, "ID")
    context.sign(signature)
    return etree.tostring(root).decode()


@dataclass(frozen=True)
class Received:
    """What the bridge sent to the IdP, its signature verified."""

    binding: Binding
    url: str
    root: etree._Element
    relay_state: str | None

    @property
    def name(self) -> str:
        return etree.QName(self.root).localname

    @property
    def id(self) -> str:
        return str(self.root.get("ID"))

    def text(self, path: str) -> str | None:
        return self.root.findtext(path, namespaces=NAMES)

    @property
    def status(self) -> str | None:
        code = self.root.find("samlp:Status/samlp:StatusCode", NAMES)
        return None if code is None else code.get("Value")


async def received(answer: httpx.Response, client: httpx.AsyncClient, slug: str) -> Received:
    """A message on its way through the browser, verified by the certificate that our metadata shows."""
    metadata = etree.fromstring((await client.get(f"/_bridge/saml/{slug}/metadata")).content)
    certificate = metadata.findtext(".//{*}KeyDescriptor[@use='signing']//{*}X509Certificate")
    assert certificate, "the metadata shows the key that signs"
    pem = f"-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"
    if answer.status_code == 303:
        return _from_redirect(answer.headers["location"], pem)
    assert answer.status_code == 200, answer.text
    return _from_form(answer.text, pem)


def _from_redirect(location: str, pem: str) -> Received:
    parts = urlsplit(location)
    query = parse_qs(parts.query, strict_parsing=True)
    octets = re.search(r"((?:SAMLRequest|SAMLResponse)=.*)&Signature=", parts.query)
    assert octets, "signed"
    assert query["SigAlg"] == [RSA_SHA256]
    key: Any = x509.load_pem_x509_certificate(pem.encode()).public_key()
    key.verify(base64.b64decode(query["Signature"][0]), octets[1].encode(), PKCS1v15(), SHA256())
    [message] = query.get("SAMLRequest", []) + query.get("SAMLResponse", [])
    root = etree.fromstring(zlib.decompress(base64.b64decode(message), -15))
    return Received("redirect", location.partition("?")[0], root, query.get("RelayState", [None])[0])


def _from_form(html: str, pem: str) -> Received:
    [form] = lxml.html.fromstring(html).forms
    fields = dict(form.fields)
    root = etree.fromstring(base64.b64decode(fields.get("SAMLRequest") or fields["SAMLResponse"]))
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatCertPem)
    context.register_id(root, "ID")
    signature = root.find("ds:Signature", NAMES)
    assert signature is not None, "signed"
    context.verify(signature)
    return Received("post", str(form.action), root, fields.get("RelayState"))


def session_index(response: str) -> str:
    """The SessionIndex of a SAMLResponse."""
    root = etree.fromstring(base64.b64decode(response))
    statement = root.find(".//saml:AuthnStatement", NAMES)
    assert statement is not None
    return str(statement.get("SessionIndex"))


def idp_of(stage: Stage, slug: str = "acme") -> Idp:
    return Idp.of(stage.deployment, slug)


def stranger(stage: Stage) -> httpx.AsyncClient:
    """A browser that sends none of our cookies, as in a hidden frame of the IdP's logout page."""
    framed = {**PAGE, "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
    return httpx.AsyncClient(base_url=stage.origin, headers=framed)


async def signed_in(stage: Stage, stack: AsyncExitStack, slug: str, person: seed.Person, **more: Any) -> Browser:
    """A browser with a session of the person."""
    browser = await stack.enter_async_context(stage.browser())
    assert (await browser.sign_in(slug, person, **more)).status_code == 303
    assert await lives(browser)
    return browser


async def lives(browser: Browser) -> bool:
    return (await browser.get("/my", headers={"Accept": "*/*"})).status_code == 200


def remains(browser: Browser) -> bool:
    """Whether the state still has the browser's session; processes may hold it for another five seconds."""
    digest = session_name(browser.client.cookies[SESSION])
    with contextlib.closing(sqlite3.connect(browser.stage.deployment.folder / "bridge.db")) as state:
        return state.execute("SELECT 1 FROM sessions WHERE digest = ?", (digest,)).fetchone() is not None
