"""Bytes from outside to an XML tree, with nothing in it that could expand, reach out or hide.

Responses and metadata are read alike: UTF-8, no DOCTYPE, no entities, no network, comments and processing instructions
dropped, so that every later rule sees the same tree as the signature check does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from lxml import etree

ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion"
PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
XMLDSIG_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
XS = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

PREFIXES = {
    "saml": ASSERTION,
    "samlp": PROTOCOL,
    "md": METADATA,
    "ds": DSIG,
    "ec": EXC_C14N,
    "xenc": XENC,
    "xenc11": XENC11,
    "xsi": XSI,
}

BLANKS = " \t\r\n"
MAX_DEPTH = 50
MAX_ATTRIBUTES = 64
MAX_NAMESPACES = 64
MAX_NAMESPACE = 256

_BOM = b"\xef\xbb\xbf"
_DECLARATION = re.compile(
    rb"""<\?xml\s+version\s*=\s*["']1\.0["'](\s+encoding\s*=\s*["'](?i:utf-?8|us-ascii)["'])?"""
    rb"""(\s+standalone\s*=\s*["'](yes|no)["'])?\s*\?>"""
)


class DocumentError(ValueError):
    """Not XML that we read. `str()` says why and quotes nothing of it; `check` names the rule."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


@cache
def tag(name: str) -> str:
    """`saml:Assertion` in lxml's notation."""
    prefix, _, local = name.partition(":")
    return f"{{{PREFIXES[prefix]}}}{local}"


def parse(data: bytes, *, max_bytes: int, max_elements: int) -> etree._Element:
    """The root of a document; raises `DocumentError`.

    A byte order mark is allowed (ADFS writes one). The encoding is fixed, not detected: a second reading of the same
    bytes could hide a DOCTYPE.
    """
    if len(data) > max_bytes:
        raise DocumentError("size", f"it is larger than {max_bytes} bytes")
    data = data.removeprefix(_BOM).strip(BLANKS.encode())
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise DocumentError("encoding", "it is not UTF-8") from None
    if b"\0" in data or (data.startswith(b"<?xml") and not _DECLARATION.match(data)):
        raise DocumentError("encoding", "it is not XML 1.0 in UTF-8")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise DocumentError("doctype", "it has a DOCTYPE")
    root = reparse(data)
    _check_limits(root, max_elements)
    return root


def reparse(data: bytes) -> etree._Element:
    """The root of what we have written ourselves from a tree that `parse` had checked; raises `DocumentError`."""
    # One parser each: lxml locks a parser while it parses, and making one costs a microsecond.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        raise DocumentError("xml", "it is not well-formed XML") from None
    # lxml judges by the last message of libxml2, so that a warning after it can hide an unbound prefix.
    log: Any = parser.error_log
    if log.filter_from_errors():
        raise DocumentError("xml", "it is not well-formed XML with namespaces")
    return root


def _check_limits(root: etree._Element, max_elements: int) -> None:
    """Canonicalization sorts attributes, searches namespaces upwards and writes them out again, element by element.

    Without these limits that costs seconds, and hundreds of megabytes.
    """
    elements = depth = namespaces = 0
    for event, element in etree.iterwalk(root, events=("start", "end", "start-ns", "end-ns")):
        match event:
            case "start":
                elements, depth = elements + 1, depth + 1
                if elements > max_elements:
                    raise DocumentError("elements", f"it has more than {max_elements} elements")
                if depth > MAX_DEPTH:
                    raise DocumentError("depth", f"its elements are nested more than {MAX_DEPTH} deep")
                if len(element.attrib) > MAX_ATTRIBUTES:
                    raise DocumentError("attributes", f"an element has more than {MAX_ATTRIBUTES} attributes")
            case "end":
                depth -= 1
            case "start-ns":
                namespaces += 1
                if namespaces > MAX_NAMESPACES:
                    raise DocumentError("namespaces", f"more than {MAX_NAMESPACES} namespaces are in scope somewhere")
                if len(element[1]) > MAX_NAMESPACE:
                    raise DocumentError("namespaces", f"a namespace is longer than {MAX_NAMESPACE} characters")
                # libxml2 writes it into the canonical form without escaping it, where it is read as another namespace.
                if "&" in element[1]:
                    raise DocumentError("namespaces", "a namespace has an & in it")
            case "end-ns":
                namespaces -= 1


def children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """The direct children of that name."""
    return element.iterchildren(tag(name))


def text(element: etree._Element | None) -> str:
    """The text of a simple element without the blanks around it; empty where there is no such element."""
    return "" if element is None else (element.text or "").strip(BLANKS)
