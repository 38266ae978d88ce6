"""From an entry of `cases.yaml` to the message that arrives at the SLO address, by either binding.

A message is made as an IdP makes it and changed on its way; the steps are mappings of one mutation's name to its
arguments, those of documents being the same as for hostile responses (`tests/hostile/saml/mutations.py`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from lxml import etree

from bridge.saml.signing import fill_signature, place_signature
from tests.hostile.saml.mutations import MUTATIONS, TEXT_MUTATIONS
from tests.saml.logouts import MESSAGES, RSA_SHA256, SLO, deflated, octets, signed_query
from tests.saml.parts import key

Case = dict[str, Any]
Message = bytes | dict[str, str]

_ONLY_REDIRECT = {"query", "octets", "packed", "algorithm", "sign_with"}
_ONLY_POST = {"form", "template", "signed"}


def bindings(case: Case) -> list[str]:
    """By which bindings a case can come: both, unless what is changed exists in one only."""
    post = bool(case.keys() & _ONLY_POST) or isinstance(case.get("raw"), dict)
    redirect = bool(case.keys() & _ONLY_REDIRECT) or isinstance(case.get("raw"), str)
    assert not (post and redirect), case["name"]
    return ["post"] if post else ["redirect"] if redirect else ["redirect", "post"]


def build(case: Case, binding: str) -> Message:
    """The raw query, or the fields of the form."""
    if "raw" in case:
        return case["raw"].encode() if isinstance(case["raw"], str) else dict(case["raw"])
    return _query(case) if binding == "redirect" else _form(case)


def _query(case: Case) -> bytes:
    kind, relay_state = case.get("kind", "SAMLRequest"), _long(case.get("relay_state", "relay"))
    algorithm = case.get("algorithm", RSA_SHA256)
    text = octets(_texts(etree.tostring(_document(case)), case), kind, relay_state, SigAlg=algorithm)
    if "packed" in case:
        packed = _packed(_texts(etree.tostring(_document(case)), case), case["packed"])
        text = f"{kind}={quote(base64.b64encode(packed), safe='')}&{text.partition('&')[2]}"
    for step in case.get("octets", []):
        text = _changed(text, step)
    signer = case.get("signer", "idp")
    query = signed_query(text, signer, case.get("sign_with", algorithm)).decode()
    for step in case.get("query", []):
        query = _changed(query, step)
    return query.encode("latin-1")


def _form(case: Case) -> dict[str, str]:
    kind, signer = case.get("kind", "SAMLRequest"), key(case.get("signer", "idp"))
    root = _document(case)
    signature = place_signature(root, signer)
    _apply(root, case.get("template", []))
    fill_signature(signature, signer)
    _apply(root, case.get("signed", []))
    data = _texts(etree.tostring(root), case)
    fields = {kind: base64.b64encode(data).decode(), "RelayState": _long(case.get("relay_state", "relay"))}
    for step in case.get("form", []):
        ((name, arguments),) = step.items()
        FORM_MUTATIONS[name](fields, **arguments)
    return fields


def _document(case: Case) -> etree._Element:
    root = etree.fromstring(MESSAGES[case.get("kind", "SAMLRequest")])
    _apply(root, case.get("content", []))
    return root


def _apply(root: etree._Element, steps: list[Case]) -> None:
    for step in steps:
        ((name, arguments),) = step.items()
        MUTATIONS[name](root, **_addressed(arguments))


def _texts(data: bytes, case: Case) -> bytes:
    for step in case.get("text", []):
        ((name, arguments),) = step.items()
        data = TEXT_MUTATIONS[name](data, **_addressed(arguments))
    return data


def _addressed(arguments: Case) -> Case:
    return {
        name: value.replace("{{slo}}", SLO) if isinstance(value, str) else value for name, value in arguments.items()
    }


def _long(value: str | list[Any]) -> str:
    """`[text, times]` is a text that would be too long for the file."""
    return value if isinstance(value, str) else value[0] * value[1]


def _packed(data: bytes, how: Case) -> bytes:
    """What is there instead of good DEFLATE data; all of it is signed."""
    ((name, argument),) = how.items()
    match name:
        case "bomb":
            return deflated(b" " * argument + data)
        case "cut":
            return deflated(data)[:-argument]
        case "trailing":
            return deflated(data) + argument.encode()
        case "twice":
            return deflated(data) + deflated(data)
        case "wbits":
            return deflated(data, argument)
        case "plain":
            return data
    raise ValueError(name)


def _changed(query: str, step: Case) -> str:
    ((name, arguments),) = step.items()
    return QUERY_MUTATIONS[name](query, **arguments)


def _drop(query: str, name: str) -> str:
    parts = query.split("&")
    kept = [part for part in parts if part.partition("=")[0] != name]
    assert len(kept) < len(parts)
    return "&".join(kept)


def _set(query: str, name: str, to: Any) -> str:
    """The raw value of a parameter."""
    value = _long(to)
    parts = [part.partition("=") for part in query.split("&")]
    assert name in [part[0] for part in parts]
    return "&".join(f"{found}={value if found == name else old}" for found, _, old in parts)


def _twice(query: str, name: str, first: bool = False) -> str:
    """A parameter again, as it is, at the other end."""
    (part,) = [part for part in query.split("&") if part.partition("=")[0] == name]
    return f"{part}&{query}" if first else f"{query}&{part}"


def _order(query: str, names: list[str]) -> str:
    parts = {part.partition("=")[0]: part for part in query.split("&")}
    assert sorted(parts) == sorted(names)
    return "&".join(parts[name] for name in names)


def _rename(query: str, name: str, to: str) -> str:
    assert f"{name}=" in query
    return query.replace(f"{name}=", f"{to}=", 1)


def _append(query: str, text: Any) -> str:
    return query + _long(text)


def _replace(query: str, old: str, new: str) -> str:
    assert old in query, old
    return query.replace(old, new)


QUERY_MUTATIONS: dict[str, Callable[..., str]] = {
    "drop": _drop,
    "set": _set,
    "twice": _twice,
    "order": _order,
    "rename": _rename,
    "append": _append,
    "replace": _replace,
}


def _set_field(fields: dict[str, str], name: str, to: Any) -> None:
    fields[name] = _long(to)


def _drop_field(fields: dict[str, str], name: str) -> None:
    del fields[name]


FORM_MUTATIONS: dict[str, Callable[..., None]] = {"set": _set_field, "drop": _drop_field}
