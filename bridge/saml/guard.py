"""The structural guard: what a response must look like before anything in it is believed or computed.

Everything here is linear in a message of bounded size and happens before libxmlsec sees the document. The rules leave
one place where an assertion can stand and two where a signature can, so that what is verified and what is read cannot
be two things (signature wrapping).
"""

from __future__ import annotations

import base64
import binascii
import threading
from pathlib import Path
from typing import Any

import onelogin.saml2
from lxml import etree

from bridge.errors import Code, SamlRefusal
from bridge.saml.document import ASSERTION, PROTOCOL, XENC, XENC11, XSI, DocumentError, children, parse, tag, text
from bridge.saml.refusals import malformed, quoted, rejected

MAX_BASE64 = 256 * 1024
MAX_ELEMENTS = 3000
MAX_ID = 256

ENCRYPTED_ASSERTION = tag("saml:EncryptedAssertion")
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"

_RESPONSE = tag("samlp:Response")
_ASSERTION = tag("saml:Assertion")
_SIGNATURE = tag("ds:Signature")
_ATTRIBUTE_VALUE = tag("saml:AttributeValue")
_TYPING = (f"{{{XSI}}}type", f"{{{XSI}}}nil")
_RETRIEVAL_METHOD = tag("ds:RetrievalMethod")
HIDING = {tag("ds:Object"), tag("ds:Manifest"), _RETRIEVAL_METHOD}
_ENCRYPTED = (f"{{{XENC}}}", f"{{{ASSERTION}}}Encrypted")

_SCHEMA_FILE = Path(onelogin.saml2.__file__).parent / "schemas" / "saml-schema-protocol-2.0.xsd"
# The schema of XML Encryption wants every parameter of an algorithm declared; MGF came with version 1.1 of it.
_SCHEMA = f"""
<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="{XENC11}">
  <import namespace="{PROTOCOL}" schemaLocation="{_SCHEMA_FILE.as_uri()}"/>
  <element name="MGF"><complexType><attribute name="Algorithm" type="anyURI" use="required"/></complexType></element>
</schema>"""
_schemas = threading.local()


def open_response(message: str | bytes) -> etree._Element:
    """The root of a base64-encoded `samlp:Response` (SAML bindings 3.5.4); raises `SamlRefusal`."""
    return open_document(decode(message, "SAMLResponse"), "SAMLResponse", "samlp:Response")


def decode(message: str | bytes, field: str) -> bytes:
    """The document in a form's field of that name; raises `SamlRefusal`."""
    if len(message) > MAX_BASE64:
        raise malformed("size", f"the {field} is larger than {MAX_BASE64} characters")
    try:
        encoded = message.encode("ascii") if isinstance(message, str) else message
        return base64.b64decode(b"".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise malformed("base64", f"the {field} is not base64") from None


def open_document(data: bytes, field: str, root_name: str) -> etree._Element:
    """The root, which must have that name; raises `SamlRefusal`. `field` is what the data came in."""
    try:
        root = parse(data, max_bytes=MAX_BASE64, max_elements=MAX_ELEMENTS)
    except DocumentError as error:
        code = Code.SAML_REJECTED if error.check == "doctype" else Code.SAML_MALFORMED
        raise SamlRefusal(code, error.check, f"the {field} cannot be read: {error}") from None
    if root.tag != tag(root_name):
        raise malformed("root", f"the message is {quoted(root.tag)}, not a {root_name}")
    return root


def check_status(response: etree._Element) -> None:
    """The IdP must have said Success (SAML core 3.2.2.2); asked first, since a failure carries no assertion."""
    status = response.find(tag("samlp:Status"))
    code = None if status is None else status.find(tag("samlp:StatusCode"))
    if status is None or code is None:
        raise rejected("status", "the response has no status")
    if code.get("Value") == SUCCESS:
        return
    second = code.find(tag("samlp:StatusCode"))
    detail = "" if second is None else f", {quoted(second.get('Value'))}"
    message = text(status.find(tag("samlp:StatusMessage")))
    said = f"; its message: {quoted(message)}" if message else ""
    reason = f"the IdP did not log the learner in: {quoted(code.get('Value'))}{detail}{said}"
    raise rejected("status", reason, code.get("Value"), None if second is None else second.get("Value"))


def check_shape(response: etree._Element) -> etree._Element:
    """The one assertion, plain or encrypted, a child of the response; any other arrangement raises `SamlRefusal`."""
    assertions: list[etree._Element] = []
    signatures: list[etree._Element] = []
    encrypted: list[etree._Element] = []
    ids: set[str] = set()
    for element in response.iter():
        name = str(element.tag)
        check_attributes(element, ids)
        if name in (_ASSERTION, ENCRYPTED_ASSERTION):
            assertions.append(element)
        elif name == _SIGNATURE:
            signatures.append(element)
        elif name == _RETRIEVAL_METHOD or _is_encrypted(element):
            encrypted.append(element)
        elif name == _RESPONSE and element is not response:
            raise rejected("nested_response", "there is a samlp:Response inside of the response")
        elif name in HIDING:
            raise rejected("signature_content", f"a {quoted(name)} may not stand in a SAML response")
    _check_encrypted(encrypted)
    if len(assertions) != 1:
        raise rejected("assertion_count", f"the response has {len(assertions)} assertions; exactly one is needed")
    if assertions[0].getparent() is not response:
        raise rejected("assertion_position", "the assertion is not a child of the response")
    _check_signatures(signatures, [response, *(element for element in assertions if element.tag == _ASSERTION)])
    return assertions[0]


def _check_encrypted(elements: list[etree._Element]) -> None:
    """What belongs to encryption stands in an EncryptedAssertion, or nowhere."""
    for element in elements:
        if next(element.iterancestors(ENCRYPTED_ASSERTION), None) is not None:
            continue
        if element.tag == _RETRIEVAL_METHOD:
            raise rejected("signature_content", "a ds:RetrievalMethod may not stand in a SAML response")
        raise rejected(
            "encrypted",
            "the response has something encrypted that is not the whole assertion: let the IdP encrypt assertions,"
            " not NameIDs or attributes",
        )


def _check_signatures(signatures: list[etree._Element], signed: list[etree._Element]) -> None:
    for signature in signatures:
        if signature.getparent() not in signed:
            raise rejected("signature_position", "there is a signature elsewhere than in the response or its assertion")
    if any(sum(1 for _ in children(element, "ds:Signature")) > 1 for element in signed):
        raise rejected("signature_count", "there are two signatures in one element")


def check_lone_shape(message: etree._Element, *, signed: bool) -> None:
    """The shape of a message that carries no assertion; raises `SamlRefusal`.

    If it is to be `signed`, exactly one signature stands in it, as its child; otherwise there is none.
    """
    name = etree.QName(message).localname
    signatures: list[etree._Element] = []
    ids: set[str] = set()
    for element in message.iter():
        if _is_encrypted(element):
            raise rejected(
                "encrypted",
                f"the {name} is encrypted in part, which is not read here: switch the encryption of NameIDs off at the"
                " IdP",
            )
        check_attributes(element, ids)
        if element.tag in HIDING:
            raise rejected("signature_content", f"a {quoted(element.tag)} may not stand in a {name}")
        if element.tag == _SIGNATURE:
            signatures.append(element)
    if signed and not signatures:
        raise rejected("signature_missing", f"the {name} is not signed")
    if not signed and signatures:
        raise rejected("signature_position", f"the {name} has a signature in it, where only one beside it counts")
    if len(signatures) > 1:
        raise rejected("signature_count", f"there are {len(signatures)} signatures in the {name}")
    if any(signature.getparent() is not message for signature in signatures):
        raise rejected("signature_position", f"the signature is not a child of the {name}")


def check_schema(message: etree._Element) -> None:
    """The SAML schemas that python3-saml ships, compiled once per thread (that costs 3 ms, validating 0.05 ms)."""
    if not hasattr(_schemas, "protocol"):
        _schemas.protocol = etree.XMLSchema(etree.fromstring(_SCHEMA))
    if not _schemas.protocol.validate(message):
        name = etree.QName(message).localname
        raise rejected("schema", f"the {name} does not follow the SAML schema{_first_error(_schemas.protocol)}")


def _is_encrypted(element: etree._Element) -> bool:
    return str(element.tag).startswith(_ENCRYPTED)


def check_attributes(element: etree._Element, ids: set[str]) -> None:
    """IDs that can be read in one way only, and no xsi:type that changes what an element is; `ids` collects them."""
    for key, value in element.attrib.items():
        name = str(key)
        if name in _TYPING and element.tag != _ATTRIBUTE_VALUE:
            raise rejected("xsi_type", "xsi:type or xsi:nil stands elsewhere than on an AttributeValue")
        if name.rpartition("}")[2].lower() != "id":
            continue
        if name.startswith("{"):
            raise rejected("id_namespace", "an ID attribute has a namespace")
        if value in ids:
            raise rejected("id_duplicate", "two elements have the same ID")
        if not 0 < len(value) <= MAX_ID:
            raise rejected("id_length", f"an ID is empty or longer than {MAX_ID} characters")
        ids.add(str(value))


def _first_error(schema: etree.XMLSchema) -> str:
    """The first deviation. Only a message on which elements may follow is shown: others quote the person's values."""
    log: Any = schema.error_log
    error = log.last_error
    if error is None:
        return ""
    about_elements = error.type == etree.ErrorTypes.SCHEMAV_ELEMENT_CONTENT
    return f", line {error.line}: {quoted(error.message) if about_elements else error.type_name}"
