"""An explanation for people, within 80 columns of plain text. Whatever came from outside is made printable."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta

from bridge.explain.change import Change, Side
from bridge.explain.explanation import Check, Explanation, Identifier
from bridge.moments import span
from bridge.printable import printable
from bridge.redaction import redacted

WIDTH = 80
INDENT = "  "

_STANDINGS = {"not_reached": "not reached", "not_needed": "not needed", "not_judged": "not judged"}
_TIERS = {"name_id": "remote id", "attribute": "remote id", "email": "address"}
_SIDES: dict[Side, str] = {
    "bridge": "in the bridge's settings",
    "idp": "at the customer's IdP",
    "lms": "in the customer's LMS or HR system",
    "kombo": "at Kombo, or with its next sync",
    "link": "in the link, or where it is entered",
    "nobody": "nothing to change",
}


def lines(explained: Explanation, *, values: bool) -> Iterator[str]:
    """What the IdP said of the person is redacted unless `values`."""
    yield from _head(explained)
    if explained.checks:
        yield ""
        as_of = ", as of the moment at which it says that it was issued" if explained.of == "response" else ""
        yield f"Checks{as_of}"
        for check in explained.checks:
            yield from _check(check)
    if any(not each.fits for each in explained.differences):
        yield from _differences(explained)
    if explained.identifiers or explained.carried:
        yield from _identifiers(explained, values=values)
    yield from _match(explained)
    for note in explained.notes:
        yield ""
        yield from _wrapped(f"Note: {printable(note)}.")
    yield from _fix(explained)


def _head(explained: Explanation) -> Iterator[str]:
    what = {"response": "a response", "launch": "a launch", "refusal": "a refusal"}[explained.of]
    name = f"{explained.reference}, {what}" if explained.reference else what
    when = f" of {explained.at:%Y-%m-%d %H:%M:%S} UTC{_age(explained.age)}" if explained.at else ""
    tenant = printable(explained.tenant) or "no tenant"
    yield from _wrapped(f"{tenant}: {name}{when}")
    if explained.passes:
        known = {"passes": "it would pass", "forwarded": "it was let in", "signed_in": "it was signed in"}
        became = known.get(explained.outcome, f"was {explained.outcome}, and would pass by now")
        yield from _wrapped(f"Outcome: {became}")
        return
    check = f" (check: {printable(explained.check)})" if explained.check else ""
    yield f"Outcome: {printable(explained.outcome)}{check}"
    if explained.reason:
        yield from _wrapped(printable(explained.reason), INDENT)


def _age(age: timedelta | None) -> str:
    if age is None:
        return ""
    return f", {span(age)} ago" if age >= timedelta() else f", {span(age)} ahead of this machine's clock"


def _check(check: Check) -> Iterator[str]:
    standing = _STANDINGS.get(check.standing, check.standing)
    yield f"{INDENT}{standing:<12} {check.step.replace('_', ' ')}"
    if check.reason and check.standing in ("failed", "not_judged"):
        yield from _wrapped(printable(check.reason), INDENT * 2 + " " * 11)


def _differences(explained: Explanation) -> Iterator[str]:
    yield ""
    yield "What it says of itself (unverified), where that is not what is expected"
    for each in explained.differences:
        if each.fits:
            continue
        yield f"{INDENT}{each.what}"
        yield from _values("it says", each.found)
        yield from _values("expected", each.expected)


def _values(label: str, values: Sequence[str]) -> Iterator[str]:
    for value in values or ("nothing",):
        yield f"{INDENT * 2}{label:<10}{printable(value)}"


def _identifiers(explained: Explanation, *, values: bool) -> Iterator[str]:
    yield ""
    yield "Identifiers" + ("" if explained.verified else " (unverified: nobody is let in by them)")
    width = max((len(printable(each.source)) for each in explained.identifiers), default=0)
    for each in explained.identifiers:
        yield from _identifier(each, min(width, 30), values=values)
    if explained.carried:
        yield f"{INDENT}also there, and not asked for:"
        for name, found in explained.carried:
            shown = ", ".join(printable(value if values else redacted(value)) for value in found) or "empty"
            yield from _wrapped(f"{printable(name)}: {shown}", INDENT * 2, hanging=INDENT)


def _identifier(each: Identifier, width: int, *, values: bool) -> Iterator[str]:
    shown = "" if each.value is None else printable(each.value if values else redacted(each.value))
    as_ = _TIERS.get(each.tier, each.tier)
    found = f"{shown}  -> {each.result}" if shown else each.result
    yield from _wrapped(f"{printable(each.source):<{width}}  as {as_:<9}  {found}", INDENT, hanging=INDENT * 2)
    if each.reason:
        yield from _wrapped(printable(each.reason), INDENT * 3)


def _match(explained: Explanation) -> Iterator[str]:
    if explained.standing:
        yield ""
        if explained.user and (explained.passes or explained.course or not explained.verified):
            label = "Kombo user" if explained.verified else "would be, were it verified, the Kombo user"
            yield from _wrapped(f"Match: {label} {printable(explained.user)}, by {explained.tier or 'the session'}")
        else:
            several = explained.outcome == "user_ambiguous"
            yield "Match: nobody" + (", as several people fit" if several else "")
        yield from _wrapped(f"by {explained.standing}; Kombo itself was not asked", INDENT)
    if course := explained.course:
        state = "open" if course.open else "not open"
        yield from _wrapped(f"Course {printable(course.origin_id)}: {state} ({printable(course.outcome)})")
        if course.reason:
            yield from _wrapped(printable(course.reason), INDENT)


def _fix(explained: Explanation) -> Iterator[str]:
    yield ""
    if explained.change is None:
        yield "Nothing needs fixing." if explained.passes else "To fix it: nothing is known that would."
        return
    yield f"To fix it ({_SIDES[explained.change.side]}):"
    for paragraph in explained.change.text.split("\n"):
        if paragraph.startswith(INDENT):
            yield f"{INDENT}{printable(paragraph)}"
        else:
            yield from _wrapped(printable(paragraph), INDENT)
    yield from _write(explained.change)


def _write(change: Change) -> Iterator[str]:
    if change.write is None:
        return
    yield ""
    yield f"{INDENT}{printable(change.write.file)}, at line {change.write.line}:"
    yield ""
    for line in change.write.yaml.split("\n"):
        yield f"{INDENT * 3}{printable(line)}"


def _wrapped(text: str, indent: str = "", hanging: str = "") -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        expand_tabs=False,
    )
