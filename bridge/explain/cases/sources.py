"""The right value under another name: in another attribute, or read as what it is not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bridge.explain.cases.failed import listed, quoted
from bridge.explain.cases.unfound import Unfound, name_of
from bridge.explain.change import Change
from bridge.printable import capitalized
from bridge.saml.model import NameId
from bridge.settings.model import IdentityEntry

TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_NAMESPACE = re.compile(r".*[/:#.]")


async def another_source(unfound: Unfound, *, surely: bool = False) -> Change | None:
    """The NameID or an attribute that holds somebody's remote id; those first that an address confirms, and `surely`
    those alone.
    """
    entries = [candidate.entry for candidate in unfound.candidates]
    found = await unfound.best(sorted(entries, key=lambda entry: not _same_name(unfound, entry)))
    if found is None or (surely and not found.confirmed):
        return None
    return Change(
        "another_source",
        "bridge",
        f"{_what_failed(unfound)}, but {name_of(found.entry)} does: its value is the remote id of exactly one active"
        f" person.{unfound.confidence(found.person)} Write:",
        unfound.write(found.identity),
    )


async def as_address(unfound: Unfound) -> Change | None:
    """The very value is somebody's address, or some attribute's: the weakest identifier, and often the only one."""
    found = [each for each in unfound.candidates if "@" in each.value]
    last = unfound.last
    found.sort(key=lambda each: last is None or each.entry.source != last.entry.source)
    for candidate in found:
        entry = IdentityEntry(tier="email", source=candidate.entry.source)
        if await unfound.proven(identity := unfound.instead(entry)):
            return Change(
                "by_address",
                "bridge",
                f"{_what_failed(unfound)}, but {candidate.source} is the address of exactly one active person. An"
                " address is the weaker identifier: it changes, and two people may share one. Better, let the"
                f" customer's IT send the remote id{_which_id(unfound)}. Until then, write:",
                unfound.write(identity),
            )
    return None


async def renamed(unfound: Unfound) -> Change | None:
    """The attribute is there under nearly the same name, and what it holds is nobody's."""
    for tried in unfound.tried:
        if tried.result != "absent" or tried.entry.source is None:
            continue
        near = [name for name in _names(unfound) if _bare(name) == _bare(tried.entry.source)]
        if near:
            return Change(
                "attribute_renamed",
                "bridge",
                f"The IdP sends the attribute {quoted(near[0])}, and the tenant's file names"
                f" {quoted(tried.entry.source)}. Names compare exactly, namespace and case included. Write it as the"
                " IdP does; whom its value means cannot be said yet, as nobody in the synced copy has it.",
            )
    return None


async def nothing_sent(unfound: Unfound) -> Change:
    """None of the configured identifiers is there, and nothing else fits."""
    wanted = [name_of(entry).removeprefix("the ") for entry in unfound.tenant.identity]
    names = ["NameID"] * bool(unfound.assertion and unfound.assertion.name_id) + list(_names(unfound))
    if unfound.assertion is None:
        sent = "What it does send was not kept."
    else:
        sent = f"It sends {listed(names[:12]) if names else 'nothing of that kind'}, of which nothing fits anybody."
    first = unfound.tenant.identity[0].source or "NameID"
    return Change(
        "identifier_not_sent",
        "idp",
        f"The IdP does not send what the tenant's file names: {' or '.join(wanted)}. {sent} Let the customer's IT add a"
        f" claim named {first} to this application{_which_id(unfound)}.",
    )


async def transient_name_id(unfound: Unfound) -> Change | None:
    last = unfound.last
    subject: NameId | None = unfound.assertion.subject if unfound.assertion else None
    if last is None or last.entry.source is not None or subject is None or subject.format != TRANSIENT:
        return None
    return Change(
        "transient_name_id",
        "idp",
        "The NameID is transient: a new one at every login, which can match nobody. Let the customer's IT send the"
        f" learner's remote id{_which_id(unfound)} as NameID of the format unspecified or persistent, or as an"
        " attribute of its own.",
    )


async def several_values(unfound: Unfound) -> Change | None:
    tried = unfound.tried[-1] if unfound.tried else None
    if tried is None or tried.result != "unreadable":
        return None
    return Change(
        "several_values" if "different values" in tried.reason else "unreadable_value",
        "idp",
        f"{capitalized(tried.reason)}. Which one is the learner's is not for the bridge to guess: let"
        f" the customer's IT send exactly one plain value in {name_of(tried.entry)}.",
    )


def _what_failed(unfound: Unfound) -> str:
    last = unfound.last
    if last is None:
        absent = ", ".join(dict.fromkeys(name_of(entry).removeprefix("the ") for entry in unfound.tenant.identity))
        return f"The response carries none of what the tenant's file names ({absent})"
    outcome = {"ambiguous": "fits several people", "inactive": "fits only somebody inactive"}
    return f"What {name_of(last.entry)} carries {outcome.get(last.result, 'fits nobody')}"


def _which_id(unfound: Unfound) -> str:
    """What the remote id is, by LMS (Kombo's guide)."""
    ids = {
        "workday": ", the Workday WID (not the Employee ID)",
        "successfactors": ", the studentID of SAP SuccessFactors Learning",
        "cornerstoneondemand": ", Cornerstone's internal user ID",
    }
    return ids.get(unfound.tool, ", the id that the learner has in the LMS")


def _names(unfound: Unfound) -> Sequence[str]:
    found = unfound.assertion.attributes if unfound.assertion else ()
    return [attribute.name for attribute in found]


def _same_name(unfound: Unfound, entry: IdentityEntry) -> bool:
    wanted = {_bare(each.source) for each in unfound.tenant.identity if each.source}
    return entry.source is not None and _bare(entry.source) in wanted


def _bare(name: str) -> str:
    """A claim's own name, without namespace, case and what stands between its words."""
    return re.sub(r"[^0-9a-z]", "", _NAMESPACE.sub("", name.casefold()))
