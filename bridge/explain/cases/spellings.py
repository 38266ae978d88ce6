"""Nearly the same value: case, blanks, leading zeros, and what an IdP puts around an id."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.explain.cases.unfound import Unfound, literal, name_of, with_extract, with_remote_extract
from bridge.explain.change import Change
from bridge.settings.model import IdentityEntry

LONGEST = 256
_ID = "(?P<id>"
_ZEROS = f"0*{_ID}[1-9][0-9]*)"


async def extract_too_narrow(unfound: Unfound) -> Change | None:
    """The tenant's own pattern does not match what came; without it, or with another, it would."""
    last = unfound.last
    if last is None or last.entry.extract is None or unfound.value is not None or last.value is None:
        return None
    plain = last.entry.model_copy(update={"extract": None})
    found = await unfound.best((plain, *(with_extract(plain, pattern) for pattern in _around(last.value))))
    if found:
        change = "remove it" if found.entry.extract is None else "replace it"
        return Change(
            "extract_does_not_match",
            "bridge",
            f"`extract: {last.entry.extract}` does not match the whole of what {name_of(last.entry)} carries;"
            f" {change}.{unfound.confidence(found.person)} Write:",
            unfound.write(found.identity),
        )
    return Change(
        "extract_does_not_match",
        "bridge",
        f"`extract: {last.entry.extract}` does not match the whole of what {name_of(last.entry)} carries, and no part"
        " of that is anybody's id. Ask the customer's IT what the IdP sends there, and write a pattern that matches it"
        " whole. `--values` shows what came.",
    )


async def something_around_it(unfound: Unfound) -> Change | None:
    """`123@acme`, `ACME\\123`, `emp-123`, where the LMS has 123."""
    last = unfound.last
    if last is None or last.entry.extract is not None or not last.value or last.entry.tier == "email":
        return None
    found = await unfound.best(with_extract(last.entry, pattern) for pattern in _around(last.value))
    if found is None:
        return None
    return Change(
        "something_around_the_id",
        "bridge",
        f"{_begun(last.entry)} has more in it than the id: the part that the pattern below cuts out is the remote id of"
        f" exactly one active person. A value of any other form would find nobody."
        f"{unfound.confidence(found.person)} Write:",
        unfound.write(found.identity),
    )


async def zeros_sent(unfound: Unfound) -> Change | None:
    """The IdP pads a number that the LMS does not, or the other way round."""
    last, value = unfound.last, unfound.value
    if last is None or last.entry.tier == "email" or not value or not value.isdigit() or last.entry.extract:
        return None
    for entry, what in (
        (with_extract(last.entry, _ZEROS), "has leading zeros that the LMS's id has not"),
        (with_remote_extract(last.entry, _ZEROS), "lacks the leading zeros of the LMS's id"),
    ):
        if last.entry.remote_extract is not None:
            return None
        if person := await unfound.proven(identity := unfound.instead(entry)):
            return Change(
                "leading_zeros",
                "bridge",
                f"{_begun(last.entry)} {what}; but for those it is the remote id of exactly one active person."
                f"{unfound.confidence(person)} Write:",
                unfound.write(identity),
            )
    return None


async def blanks_in_the_copy(unfound: Unfound) -> Change | None:
    last, value = unfound.last, unfound.value
    if last is None or not value or last.entry.tier == "email" or last.entry.remote_extract is not None:
        return None
    entry = with_remote_extract(last.entry, rf"\s*{_ID}\S(?:.*\S)?)\s*")
    if not any(each != each.strip() and each.strip() == value for each in unfound.around.close):
        return None
    if not await unfound.proven(identity := unfound.instead(entry)):
        return None
    return Change(
        "blanks",
        "bridge",
        "In the LMS the id has blanks around it. Let those who run the LMS remove them; until then, write:",
        unfound.write(identity),
    )


async def spelt_otherwise(unfound: Unfound) -> Change | None:
    """What no pattern can mend: remote ids compare exactly, as two people may differ in nothing but case."""
    last, value = unfound.last, unfound.value
    if last is None or not value or last.entry.tier == "email":
        return None
    for remote_id in unfound.around.close:
        if remote_id.casefold() == value.casefold():
            return Change("case", "idp", f"{_begun(last.entry)} {_case(remote_id)}")
        if "".join(remote_id.split()).casefold() == "".join(value.split()).casefold():
            return Change(
                "blanks",
                "idp",
                f"{_begun(last.entry)} has blanks where the LMS's id has none, or the other way round. Ids compare"
                " exactly: let the customer's IT send it as the LMS has it.",
            )
    return None


def _case(remote_id: str) -> str:
    how = "in lower case" if remote_id == remote_id.lower() else "in upper case"
    if remote_id not in (remote_id.lower(), remote_id.upper()):
        how = "letter by letter as it stands there"
    return (
        "differs from an id in the LMS only in upper and lower case. Ids compare exactly, as two people may differ in"
        f" nothing else: let the customer's IT send it {how} (Okta: String.toLowerCase, Entra: ToLowercase())."
    )


def _begun(entry: IdentityEntry) -> str:
    name = name_of(entry)
    return f"What {name} carries"


def _around(value: str) -> Iterator[str]:
    """Patterns that cut a part out of the value, and of values like it; those first that leave the most."""
    if len(value) > LONGEST:
        return
    local, at, domain = value.rpartition("@")
    if at and local and domain:
        yield f"{_ID}[^@]+)@{literal(domain)}"
    head, slash, tail = value.partition("\\")
    if slash and head and tail:
        yield f"{literal(head)}\\\\{_ID}[^\\\\]+)"
    if match := re.fullmatch(r"([A-Za-z]{1,8}[-_.:#]|[A-Za-z]{1,3})([0-9]+)", value):  # longer, it is a user name
        yield f"{literal(match[1])}{_ID}[0-9]+)"
    for separator in "|:,;/#=-_.":
        first, found, rest = value.partition(separator)
        if found and first and rest and separator not in rest:
            escaped = literal(separator)
            yield f"[^{escaped}]+{escaped}{_ID}[^{escaped}]+)"
            yield f"{_ID}[^{escaped}]+){escaped}[^{escaped}]+"
