"""What a verified assertion says of the learner: NameID, attributes, and when the IdP saw the learner log in."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from lxml import etree

from bridge.saml.document import BLANKS, XSI, children, tag, text
from bridge.saml.model import Attribute, NameId
from bridge.saml.refusals import quoted, rejected
from bridge.saml.rules import Clock, compare_clocks, instant

MAX_NAME_ID = 1024
MAX_SESSION_INDEX = 1024
MAX_ATTRIBUTES = 500
MAX_VALUES = 2000
MAX_VALUE = 64 * 1024

# Control, format, surrogate, line and paragraph separator; and letters that show nothing. The two joiners are format
# characters that some scripts cannot be written without.
_FORBIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = {*"\u200c\u200d"}
_FILLERS = {*"\u115f\u1160\u3164\uffa0"}


class _UnreadableError(ValueError):
    """A value of an attribute that could be read in two ways; `str()` says why and quotes nothing of it."""


def read_name_id(assertion: etree._Element) -> NameId | None:
    """The subject's NameID; None where it is absent or empty."""
    subject = assertion.find(tag("saml:Subject"))
    return None if subject is None else name_id_in(subject)


def name_id_in(parent: etree._Element) -> NameId | None:
    """The NameID that is a child of an element; None where it is absent or empty."""
    name_id = parent.find(tag("saml:NameID"))
    value = text(name_id)
    if name_id is None or not value:
        return None
    if len(value) > MAX_NAME_ID:
        raise rejected("name_id_length", f"the NameID is longer than {MAX_NAME_ID} characters")
    if not is_plain(value):
        raise rejected("name_id_characters", "the NameID has a line break, a control character or one that hides text")
    details = [name_id.get(name) for name in ("Format", "NameQualifier", "SPNameQualifier")]
    if any(detail and not (is_plain(detail) and len(detail) <= MAX_NAME_ID) for detail in details):
        raise rejected("name_id_format", "the NameID's Format, or one of its qualifiers, is no plain text")
    return NameId(value, *details)


def read_attributes(assertion: etree._Element) -> tuple[Attribute, ...]:
    """All attributes, merged by Name; values are trimmed, empty and nil ones are gone.

    IdPs send whole profiles, of which the bridge needs one value. So a value that has no one reading spoils only its
    own attribute; more than there may be is refused.
    """
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
    unreadable: dict[str, str] = {}
    for element in elements:
        name = element.get("Name", "")
        if not is_plain(name):
            raise rejected("attribute_characters", "the Name of an attribute has a control character")
        friendly[name] = friendly.get(name) or _friendly_name(element)
        try:
            values.setdefault(name, {}).update(dict.fromkeys(_read_values(element, name)))
        except _UnreadableError as error:
            unreadable[name] = str(error)
    return tuple(
        Attribute(name, friendly[name], () if name in unreadable else tuple(found), unreadable.get(name))
        for name, found in values.items()
    )


def read_authentication(assertion: etree._Element, clock: Clock) -> tuple[datetime, str | None, datetime | None]:
    """AuthnInstant, SessionIndex and SessionNotOnOrAfter of the one AuthnStatement (SAML core 2.7.2)."""
    statements = list(children(assertion, "saml:AuthnStatement"))
    if len(statements) != 1:
        raise rejected("authn_statement", f"the assertion has {len(statements)} AuthnStatements; exactly one is needed")
    statement = statements[0]
    authenticated = instant(statement, "AuthnInstant")
    if authenticated is None or not clock.begun(authenticated):
        raise rejected(
            "authn_instant",
            f"the AuthnInstant is {authenticated}; it is {clock.now} here: {compare_clocks(assertion, clock)}",
            assertion.get("IssueInstant"),
        )
    end = instant(statement, "SessionNotOnOrAfter")
    if end is not None and end <= clock.now:
        raise rejected("session_not_on_or_after", f"the IdP's session ended at {end}; it is {clock.now} here")
    index = statement.get("SessionIndex")
    if index:
        check_session_index(index)
    return authenticated, index, end


def check_session_index(index: str) -> None:
    """One name of a session at the IdP (SAML core 2.7.2)."""
    if not (is_plain(index) and len(index) <= MAX_SESSION_INDEX):
        raise rejected("session_index", f"the SessionIndex is longer than {MAX_SESSION_INDEX}, or no plain text")


def _read_values(attribute: etree._Element, name: str) -> list[str]:
    found = []
    for element in children(attribute, "saml:AttributeValue"):
        value = "" if element.get(f"{{{XSI}}}nil") in ("true", "1") else _read_value(element, name)
        if value:
            found.append(value)
    return found


def _friendly_name(attribute: etree._Element) -> str | None:
    """A name for people; as it is matched only where no Name is, one with odd characters is none."""
    found = attribute.get("FriendlyName")
    return found if found and is_plain(found) else None


def _read_value(element: etree._Element, name: str) -> str:
    """The text of a value. eduPersonTargetedID wraps it in one NameID; any other markup has no one reading."""
    if [child.tag for child in element] == [tag("saml:NameID")]:
        around = (element.text or "") + (element[0].tail or "")
        element = element if around.strip(BLANKS) else element[0]
    if len(element) > 0:
        raise _UnreadableError("a value has markup in it, not only text")
    value = text(element)
    if len(value) > MAX_VALUE:
        raise rejected(
            "attribute_limit", f"a value of the attribute {quoted(name)} is longer than {MAX_VALUE} characters"
        )
    if not is_plain(value):
        raise _UnreadableError("a value has a line break, a control character or one that hides text")
    return value


def is_plain(value: str) -> bool:
    """Whether a text has no line break, no control character and none that hides or turns text."""
    return (value.isascii() and value.isprintable()) or not any(
        char in _FILLERS or (unicodedata.category(char) in _FORBIDDEN_CATEGORIES and char not in _JOINERS)
        for char in value
    )
