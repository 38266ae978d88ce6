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
from bridge.saml.document import ASSERTION, XENC, XSI, DocumentError, children, parse, tag, text
from bridge.saml.refusals import malformed, quoted, rejected

MAX_BASE64 = 256 * 1024
MAX_ELEMENTS = 3000
MAX_ID = 256

SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"

_RESPONSE = tag("samlp:Response")
_ASSERTION = tag("saml:Assertion")
_SIGNATURE = tag("ds:Signature")
_ATTRIBUTE_VALUE = tag("saml:AttributeValue")
_TYPING = (f"{{{XSI}}}type", f"{{{XSI}}}nil")
_HIDING = {tag("ds:Object"), tag("ds:Manifest"), tag("ds:RetrievalMethod")}

_SCHEMA_FILE = Path(onelogin.saml2.__file__).parent / "schemas" / "saml-schema-protocol-2.0.xsd"
_schemas = threading.local()


def open_response(message: str | bytes) -> etree._Element:
    """The root of a base64-encoded `samlp:Response` (SAML bindings 3.5.4); raises `SamlRefusal`."""
    if len(message) > MAX_BASE64:
        raise malformed("size", f"the SAMLResponse is larger than {MAX_BASE64} characters")
    try:
        encoded = message.encode("ascii") if isinstance(message, str) else message
        data = base64.b64decode(b"".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise malformed("base64", "the SAMLResponse is not base64") from None
    try:
        root = parse(data, max_bytes=MAX_BASE64, max_elements=MAX_ELEMENTS)
    except DocumentError as error:
        code = Code.SAML_REJECTED if error.check == "doctype" else Code.SAML_MALFORMED
        raise SamlRefusal(code, error.check, f"the SAMLResponse cannot be read: {error}") from None
    if root.tag != _RESPONSE:
        raise malformed("root", f"the message is {quoted(root.tag)}, not a samlp:Response")
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
    raise rejected("status", f"the IdP did not log the learner in: {quoted(code.get('Value'))}{detail}{said}")


def check_shape(response: etree._Element) -> etree._Element:
    """The one assertion, a child of the response; raises `SamlRefusal` for any other arrangement."""
    assertions: list[etree._Element] = []
    signatures: list[etree._Element] = []
    ids: set[str] = set()
    for element in response.iter():
        _check_encryption(element)
        _check_attributes(element, ids)
        if element.tag == _ASSERTION:
            assertions.append(element)
        elif element.tag == _SIGNATURE:
            signatures.append(element)
        elif element.tag == _RESPONSE and element is not response:
            raise rejected("nested_response", "there is a samlp:Response inside of the response")
        elif element.tag in _HIDING:
            raise rejected("signature_content", f"a {quoted(element.tag)} may not stand in a SAML response")
    if len(assertions) != 1:
        raise rejected("assertion_count", f"the response has {len(assertions)} assertions; exactly one is needed")
    if assertions[0].getparent() is not response:
        raise rejected("assertion_position", "the assertion is not a child of the response")
    for signature in signatures:
        if signature.getparent() not in (response, assertions[0]):
            raise rejected("signature_position", "there is a signature elsewhere than in the response or its assertion")
    if any(sum(1 for _ in children(signed, "ds:Signature")) > 1 for signed in (response, assertions[0])):
        raise rejected("signature_count", "there are two signatures in one element")
    return assertions[0]


def check_schema(response: etree._Element) -> None:
    """The SAML schemas that python3-saml ships, compiled once per thread (that costs 3 ms, validating 0.05 ms)."""
    if not hasattr(_schemas, "protocol"):
        _schemas.protocol = etree.XMLSchema(file=str(_SCHEMA_FILE))
    if not _schemas.protocol.validate(response):
        raise rejected("schema", "the response does not follow the SAML schema" + _first_error(_schemas.protocol))


def _check_encryption(element: etree._Element) -> None:
    name = etree.QName(element)
    if name.namespace == XENC or (name.namespace == ASSERTION and name.localname.startswith("Encrypted")):
        raise rejected(
            "encrypted",
            "the response is encrypted, which this version cannot read: switch the encryption of assertions, NameIDs"
            " and attributes off at the IdP",
        )


def _check_attributes(element: etree._Element, ids: set[str]) -> None:
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
