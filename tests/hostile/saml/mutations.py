"""From an entry of `cases.yaml` to the message that an attacker would post.

A message is made as an IdP makes it (content, signature's place, signature; with `encrypt`, encryption after the
assertion's signature and before the response's) and changed at one of these moments:

    content    before anything is signed: what a hostile or sloppy IdP says
    template   the signature stands there, still empty: what a hostile or sloppy IdP signs
    sealed     after encryption, before the response is signed: what a hostile or sloppy IdP makes of encryption
    signed     after signing: what an attacker does to a message that was good
    text       as bytes, after that

Each step is a mapping of one mutation's name to its arguments. Paths are XPath with the prefixes of
`bridge.saml.document`.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import xmlsec
from lxml import etree

from bridge.demo.encryption import encrypted
from bridge.demo.responses import IdpKey
from bridge.saml.document import PREFIXES, tag
from bridge.saml.signing import fill_signature, place_signature
from tests.saml.parts import ACS, ENTITY_ID, ISSUER, NOW, REQUEST_ID, encryption, key, response

Step = dict[str, Any]
_PARTS = {"assertion": ["/*/saml:Assertion"], "response": ["/*"], "both": ["/*/saml:Assertion", "/*"], "none": []}


def build(case: dict[str, Any]) -> str | bytes:
    """The posted SAMLResponse of a case."""
    if "post" in case:
        return _repeated(case["post"])
    if "xml" in case:
        return base64.b64encode(_text(_repeated(case["xml"]).encode(), case)).decode()
    options = dict(case.get("options", {}))
    if options.get("name_id"):
        options["name_id"] = _repeated(options["name_id"])
    root = etree.fromstring(base64.b64decode(response(**options, sign="none")))
    root = _apply(root, case.get("content", []))
    signer = key(case.get("signer", "idp"))
    signatures = [place_signature(_one(root, path), signer) for path in _PARTS[case.get("sign", "assertion")]]
    root = _apply(root, case.get("template", []))
    inside, around = _sorted(signatures, root)
    _fill(inside, signer, case.get("secret"))
    if "encrypt" in case:
        _encrypt(root, **case["encrypt"])
    root = _apply(root, case.get("sealed", []))
    _fill(around, signer, case.get("secret"))
    root = _apply(root, case.get("signed", []))
    return base64.b64encode(_text(etree.tostring(root), case)).decode()


def _sorted(signatures: list[Any], root: etree._Element) -> tuple[list[Any], list[Any]]:
    """Those inside of the assertion, and those of the response."""
    inside = [found for found in signatures if found.getparent() is not root]
    return inside, list(root.iterchildren(tag("ds:Signature")))


def _fill(signatures: list[etree._Element], signer: IdpKey, secret: str | None) -> None:
    """Signs; with `secret: certificate`, by HMAC with the public certificate as its secret."""
    for signature in signatures:
        if secret is None:
            fill_signature(signature, signer)
            continue
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_binary_data(xmlsec.constants.KeyDataHmac, key("idp").certificate_pem.encode())
        context.register_id(signature.getparent(), "ID")
        context.sign(signature)


def _encrypt(root: etree._Element, plaintext: Any = "{{assertion}}", key: str = "sp", **how: Any) -> None:
    """Encrypts the assertion, or the text around `{{assertion}}`, for the bridge's key of that name."""
    assertion = _one(root, "/*/saml:Assertion")
    text = _repeated(plaintext).encode("utf-8", "surrogateescape")
    content = text.replace(b"{{assertion}}", etree.tostring(assertion, with_tail=False))
    root.replace(assertion, encrypted(content, encryption(key, **how)))


def _apply(root: etree._Element, steps: list[Step]) -> etree._Element:
    for step in steps:
        ((name, arguments),) = step.items()
        MUTATIONS[name](root, **arguments)
    return root


def _text(data: bytes, case: dict[str, Any]) -> bytes:
    for step in case.get("text", []):
        ((name, arguments),) = step.items()
        data = TEXT_MUTATIONS[name](data, **arguments)
    return data


def _one(root: etree._Element, path: str) -> Any:
    (found,) = root.xpath(path, namespaces=PREFIXES)
    return found


def _repeated(value: str | list[Any]) -> str:
    """`[text, times]` is a text that would be too long for the file; lists of those are joined."""
    if isinstance(value, str):
        return _filled(value)
    if isinstance(value[0], list):
        return "".join(map(_repeated, value))
    return _filled(value[0]) * value[1]


def _filled(value: str) -> str:
    """Places filled in: `{{acs}}`, `{{now+5}}` and so on; the number counts minutes."""
    names = {"acs": ACS, "audience": ENTITY_ID, "issuer": ISSUER, "request": REQUEST_ID}
    for name, content in names.items():
        value = value.replace(f"{{{{{name}}}}}", content)
    while "{{now" in value:
        place = value[value.index("{{now") : value.index("}}") + 2]
        minutes = int(place[5:-2] or "0")
        value = value.replace(place, (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return value


def _set(root: etree._Element, at: str, to: Any, name: str | None = None) -> None:
    """An attribute (`name` in lxml's notation), or without `name` the text, of one element."""
    element = _one(root, at)
    if name is None:
        element.text = _repeated(to)
    else:
        element.set(name, _repeated(to))


def _drop(root: etree._Element, at: str, name: str | None = None) -> None:
    """An attribute, or without `name` the element, of every match."""
    found = root.xpath(at, namespaces=PREFIXES)
    assert found
    for element in found:
        if name is None:
            element.getparent().remove(element)
        else:
            del element.attrib[name]


def _add(root: etree._Element, to: str, xml: Any, index: int | None = None, keep: bool = False) -> None:
    """Elements written as XML; the prefixes need no declaration, and unused ones are only left with `keep`."""
    parent = _one(root, to)
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in PREFIXES.items())
    children = list(etree.fromstring(f"<x {declared}>{_repeated(xml)}</x>"))
    for offset, child in enumerate(children):
        parent.insert(len(parent) if index is None else index + offset, child)
        if not keep:
            etree.cleanup_namespaces(child)


def _copy(root: etree._Element, what: str, to: str, index: int | None = None) -> None:
    parent, element = _one(root, to), copy.deepcopy(_one(root, what))
    element.tail = None
    parent.insert(len(parent) if index is None else index, element)


def _move(root: etree._Element, what: str, to: str, index: int | None = None) -> None:
    parent, element = _one(root, to), _one(root, what)
    element.getparent().remove(element)
    parent.insert(len(parent) if index is None else index, element)


def _forge(root: etree._Element, at: str, identifier: str = "_forged") -> None:
    """Makes an assertion say somebody else, under another ID."""
    assertion = _one(root, at)
    assertion.set("ID", identifier)
    _one(assertion, "saml:Subject/saml:NameID").text = "victim"


def _tamper(root: etree._Element, at: str, cut: int | None = None, flip: int | None = None, to: Any = None) -> None:
    """Base64 content: cut to (from, if negative) a length, with one byte inverted, or repeated bytes instead."""
    element = _one(root, at)
    data = bytearray(base64.b64decode(element.text))
    if to is not None:
        data = bytearray(_repeated(to).encode())
    if cut is not None:
        data = data[:cut]
    if flip is not None:
        data[flip] ^= 0xFF
    element.text = base64.b64encode(data).decode()


def _comment(root: etree._Element, at: str, before: str) -> None:
    """A comment inside of a text, in front of `before`."""
    element = _one(root, at)
    head, _, tail = element.text.partition(before)
    element.text = head
    comment = etree.Comment("x")
    comment.tail = before + tail
    element.insert(0, comment)


def _rename(root: etree._Element, at: str, to: str) -> None:
    prefix, _, local = to.partition(":")
    _one(root, at).tag = f"{{{PREFIXES[prefix]}}}{local}"


def _replace(data: bytes, old: str, new: Any, count: int = 1) -> bytes:
    assert old.encode() in data, old
    return data.replace(old.encode(), _repeated(new).encode(), count)


def _prepend(data: bytes, text: Any) -> bytes:
    return _repeated(text).encode() + data


def _encode(data: bytes, to: str) -> bytes:
    return data.decode().encode(to)


MUTATIONS: dict[str, Callable[..., None]] = {
    "set": _set,
    "drop": _drop,
    "add": _add,
    "copy": _copy,
    "move": _move,
    "forge": _forge,
    "tamper": _tamper,
    "comment": _comment,
    "rename": _rename,
}
TEXT_MUTATIONS: dict[str, Callable[..., bytes]] = {"replace": _replace, "prepend": _prepend, "encode": _encode}
