"""What a verified assertion says of the learner: NameID, attributes, and when the IdP saw the learner log in."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from lxml import etree

from bridge.saml.document import BLANKS, XSI, children, tag, text
from bridge.saml.model import Attribute, NameId
from bridge.saml.refusals import quoted, rejected
from bridge.saml.rules import Clock, instant

MAX_NAME_ID = 1024
MAX_SESSION_INDEX = 1024
MAX_ATTRIBUTES = 500
MAX_VALUES = 2000
MAX_VALUE = 64 * 1024

# Control, surrogate, line and paragraph separator; and the format characters that turn or hide text around them.
_FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_INVISIBLE = {*"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", "\ufeff"}


def read_name_id(assertion: etree._Element) -> NameId | None:
    """The subject's NameID; None where it is absent or empty."""
    subject = assertion.find(tag("saml:Subject"))
    name_id = None if subject is None else subject.find(tag("saml:NameID"))
    value = text(name_id)
    if name_id is None or not value:
        return None
    if len(value) > MAX_NAME_ID:
        raise rejected("name_id_length", f"the NameID is longer than {MAX_NAME_ID} characters")
    if not _is_plain(value):
        raise rejected("name_id_characters", "the NameID has a line break, a control character or one that hides text")
    details = [name_id.get(name) for name in ("Format", "NameQualifier", "SPNameQualifier")]
    if any(detail and not (_is_plain(detail) and len(detail) <= MAX_NAME_ID) for detail in details):
        raise rejected("name_id_format", "the NameID's Format, or one of its qualifiers, is no plain text")
    return NameId(value, *details)


def read_attributes(assertion: etree._Element) -> tuple[Attribute, ...]:
    """All attributes, merged by Name; values are trimmed, empty and nil ones are gone."""
    elements = [
        attribute
        for statement in children(assertion, "saml:AttributeStatement")
        for attribute in children(statement, "saml:Attribute")
    ]
    if len(elements) > MAX_ATTRIBUTES:
        raise rejected("attribute_limit", f"the assertion has more than {MAX_ATTRIBUTES} attributes")
    if sum(map(len, elements)) > MAX_VALUES:
        raise rejected("attribute_limit", f"the assertion has more than {MAX_VALUES} attribute values")
    friendly: dict[str, str | None] = {}
    values: dict[str, dict[str, None]] = {}
    for element in elements:
        name = element.get("Name", "")
        if not _is_plain(name + element.get("FriendlyName", "")):
            raise rejected("attribute_characters", "the Name of an attribute has a control character")
        friendly[name] = friendly.get(name) or element.get("FriendlyName")
        values.setdefault(name, {}).update(dict.fromkeys(_read_values(element, name)))
    return tuple(Attribute(name, friendly[name], tuple(found)) for name, found in values.items())


def read_authentication(assertion: etree._Element, clock: Clock) -> tuple[datetime, str | None, datetime | None]:
    """AuthnInstant, SessionIndex and SessionNotOnOrAfter of the one AuthnStatement (SAML core 2.7.2)."""
    statements = list(children(assertion, "saml:AuthnStatement"))
    if len(statements) != 1:
        raise rejected("authn_statement", f"the assertion has {len(statements)} AuthnStatements; exactly one is needed")
    statement = statements[0]
    authenticated = instant(statement, "AuthnInstant")
    if authenticated is None or not clock.begun(authenticated):
        raise rejected("authn_instant", f"the AuthnInstant is {authenticated}; it is {clock.now} here")
    end = instant(statement, "SessionNotOnOrAfter")
    if end is not None and end <= clock.now:
        raise rejected("session_not_on_or_after", f"the IdP's session ended at {end}; it is {clock.now} here")
    index = statement.get("SessionIndex")
    if index and not (_is_plain(index) and len(index) <= MAX_SESSION_INDEX):
        raise rejected("session_index", f"the SessionIndex is longer than {MAX_SESSION_INDEX}, or no plain text")
    return authenticated, index, end


def _read_values(attribute: etree._Element, name: str) -> list[str]:
    found = []
    for element in children(attribute, "saml:AttributeValue"):
        value = _read_value(element, name)
        if value and element.get(f"{{{XSI}}}nil") not in ("true", "1"):
            found.append(value)
    return found


def _read_value(element: etree._Element, name: str) -> str:
    """The text of a value. eduPersonTargetedID wraps it in one NameID; any other markup has no one reading."""
    if [child.tag for child in element] == [tag("saml:NameID")]:
        around = (element.text or "") + (element[0].tail or "")
        element = element if around.strip(BLANKS) else element[0]
    if len(element) > 0:
        raise rejected("attribute_markup", f"a value of the attribute {quoted(name)} has markup in it, not only text")
    value = text(element)
    if len(value) > MAX_VALUE:
        raise rejected(
            "attribute_limit", f"a value of the attribute {quoted(name)} is longer than {MAX_VALUE} characters"
        )
    if not _is_plain(value):
        raise rejected(
            "attribute_characters",
            f"a value of the attribute {quoted(name)} has a line break, a control character or one that hides text:"
            " if it is not needed here, let the IdP leave the attribute out",
        )
    return value


def _is_plain(value: str) -> bool:
    return (value.isascii() and value.isprintable()) or not any(
        char in _INVISIBLE or unicodedata.category(char) in _FORBIDDEN_CATEGORIES for char in value
    )
