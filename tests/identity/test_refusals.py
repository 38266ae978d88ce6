"""Who is not exactly one active person: every case of `refusals.yaml`, and what is too old to say so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.errors import Refusal
from bridge.kombo.model import User
from bridge.saml.model import Assertion, Attribute, NameId
from bridge.simulator import seed
from tests.support.directories import HOUR, LONG_AGO, Directory
from tests.support.rooms import Rooms

CASES = yaml.safe_load(Path(__file__).with_name("refusals.yaml").read_text("utf-8"))
ATTRIBUTES = ("lms_user_id", "mail", "personnel_number")


def assertion(value: str) -> Assertion:
    """What says the value as the NameID and in every attribute that a tenant may look at."""
    moment = datetime.now(UTC)
    return Assertion(
        id="_a",
        issuer="idp",
        subject=NameId(value) if value else None,
        attributes=tuple(Attribute(name, None, (value,)) for name in ATTRIBUTES),
        issued=moment,
        authn_instant=moment,
        session_index=None,
        session_not_on_or_after=None,
        expires=moment + timedelta(minutes=5),
        in_response_to=None,
    )


def said(case: dict[str, Any]) -> str:
    value = str(case["says"])
    if value.startswith("@"):
        return "x" * int(value[1:])
    person = getattr(seed, value, None)
    if not isinstance(person, seed.Person):
        return value
    return (person.email or "") if case["tenant"] == "initech" else person.remote_id


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_each_case(rooms: Rooms, case: dict[str, Any]) -> None:
    entry = case.get("entry")
    tenant = rooms.deployment.tenant(case["tenant"], **({"identity": [entry]} if entry else {}))
    if case.get("synced"):
        await rooms.sync(tenant)
    if case.get("down"):
        await rooms.control("down", value=True)
    if "patch" in case:
        await rooms.control("faults", kind="rows", count=None, patch=case["patch"])
    if "error" in case:
        await rooms.control("faults", kind="error", count=None, status=409, code=case["error"])
    if "is" in case:
        match = await rooms.resolver.resolve(assertion(said(case)), tenant)
        assert match.person
        assert match.person.id == getattr(seed, case["is"]).id
        return
    with pytest.raises(Refusal) as refused:
        await rooms.resolver.resolve(assertion(said(case)), tenant)
    assert (refused.value.code, case["because"] in refused.value.reason) == (case["code"], True), refused.value.reason
    assert not case["says"] or len(said(case)) < 3 or said(case) not in refused.value.reason, "no person is named"


AGES = [
    # synced, seen, good (hours ago; None: never, not said), what is said of somebody known, and of somebody else
    (0, 0, None, "known", "user_unmatched"),
    (71, 71, None, "known", "user_unmatched"),
    (73, 73, None, "user_unknown", "user_unknown"),
    (73, 0, None, "known", "user_unknown"),
    (None, 0, None, "known", "user_unknown"),
    (None, 73, None, "user_unknown", "user_unknown"),
    (0, 500, None, "known", "user_unmatched"),
    (0, 0, 71, "known", "user_unmatched"),
    (0, 0, 73, "user_unknown", "user_unknown"),
    (73, 73, 0, "user_unknown", "user_unknown"),
]


async def test_the_age_of_people_counts_as_that_of_enrollments(filled: Directory) -> None:
    found = []
    for number, (synced, seen, good, *_) in enumerate(AGES):
        here = filled.another(str(number))
        await here.fill(users=[User("u1", "known", LONG_AGO)], ago=seen * HOUR)
        if synced is not None:
            await here.synced(ago=synced * HOUR)
        await here.good(None if good is None else good * HOUR)
        found.append((synced, seen, good, await _told(here, "known"), await _told(here, "somebody else")))
    assert found == AGES


async def _told(here: Directory, value: str) -> str:
    try:
        match = await here.resolver.resolve(assertion(value), here.tenant)
    except Refusal as refusal:
        return str(refusal.code)
    return match.person.remote_id if match.person else ""


async def test_a_kombo_with_an_old_copy_is_not_asked_who_somebody_is(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await Directory(rooms.store, tenant, rooms.live).good(73 * HOUR)
    with pytest.raises(Refusal, match="too old: known as of"):
        await rooms.resolver.resolve(assertion(seed.JANE.remote_id), tenant)
    assert rooms.asked("/lms/users") == 0
