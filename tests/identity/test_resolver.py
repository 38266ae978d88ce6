"""From an assertion to exactly one Kombo user, against Kombo as the simulator plays it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import Code, Refusal
from bridge.kombo.model import User
from bridge.saml.model import Assertion, Attribute, NameId
from bridge.settings.model import Tenant
from bridge.simulator import seed
from bridge.store import directory
from bridge.store.engine import now_ms
from tests.support.rooms import Rooms


def assertion(name_id: str | None = None, **attributes: str | tuple[str, ...]) -> Assertion:
    moment = datetime.now(UTC)
    return Assertion(
        id="_a",
        issuer="idp",
        subject=NameId(name_id) if name_id else None,
        attributes=tuple(
            Attribute(name, None, (values,) if isinstance(values, str) else values)
            for name, values in attributes.items()
        ),
        issued=moment,
        authn_instant=moment,
        session_index=None,
        session_not_on_or_after=None,
        expires=moment + timedelta(minutes=5),
        in_response_to=None,
    )


async def who(rooms: Rooms, tenant: Tenant, asserted: Assertion) -> str:
    match = await rooms.resolver.resolve(asserted, tenant)
    assert match.person is not None
    return match.person.remote_id


async def refused(rooms: Rooms, tenant: Tenant, asserted: Assertion) -> Code:
    with pytest.raises(Refusal) as caught:
        await rooms.resolver.resolve(asserted, tenant)
    return caught.value.code


@pytest.mark.parametrize("synced", [True, False], ids=["from the directory", "live"])
@pytest.mark.parametrize(
    ("slug", "asserted", "person"),
    [
        ("acme", assertion(seed.JANE.remote_id), seed.JANE),
        ("acme", assertion(seed.LENA.remote_id), seed.LENA),
        ("globex", assertion("rita@globex.com", lms_user_id="E777"), seed.RITA),
        ("globex", assertion(lms_user_id=seed.SLASH.remote_id), seed.SLASH),
        ("globex", assertion(lms_user_id=seed.HASH.remote_id), seed.HASH),
        ("initech", assertion("x", mail="peter.gibbons@initech.com"), seed.PETER),
        ("initech", assertion("x", mail="PETER.GIBBONS@INITECH.COM"), seed.PETER),
    ],
)
async def test_each_tier_finds_its_person(
    rooms: Rooms, slug: str, asserted: Assertion, person: seed.Person, synced: bool
) -> None:
    tenant = rooms.deployment.tenant(slug)
    if synced:
        await rooms.sync(tenant)
        await rooms.control("down", value=True)
    assert await who(rooms, tenant, asserted) == person.remote_id


@pytest.mark.parametrize("synced", [True, False], ids=["from the directory", "live"])
@pytest.mark.parametrize(
    ("slug", "asserted", "code"),
    [
        ("acme", assertion("nobody"), Code.USER_UNMATCHED),
        ("acme", assertion(seed.JANE.remote_id.upper()), Code.USER_UNMATCHED),
        ("acme", assertion(seed.MARTIN.remote_id), Code.USER_INACTIVE),
        ("acme", assertion(seed.OLGA.remote_id), Code.USER_UNMATCHED),
        ("acme", assertion(None), Code.IDENTIFIER_MISSING),
        ("globex", assertion("E777"), Code.IDENTIFIER_MISSING),
        ("globex", assertion(LMS_USER_ID="E777"), Code.IDENTIFIER_MISSING),
        ("globex", assertion(lms_user_id=("E777", "E12345")), Code.USER_AMBIGUOUS),
        ("globex", assertion(lms_user_id=seed.FRANK.remote_id), Code.USER_UNMATCHED),
        ("globex", assertion(lms_user_id="E777%2CE778"), Code.USER_UNMATCHED),
        ("initech", assertion(mail="nobody@initech.com"), Code.USER_UNMATCHED),
    ],
)
async def test_whoever_is_not_exactly_one_active_person_is_refused(
    rooms: Rooms, slug: str, asserted: Assertion, code: Code, synced: bool
) -> None:
    tenant = rooms.deployment.tenant(slug)
    if synced:
        await rooms.sync(tenant)
    assert await refused(rooms, tenant, asserted) is code


@pytest.mark.parametrize("synced", [True, False], ids=["from the directory", "live"])
async def test_two_people_with_one_address_are_nobody(rooms: Rooms, synced: bool) -> None:
    tenant = rooms.deployment.tenant("acme", identity=[{"email": "name_id"}])
    if synced:
        await rooms.sync(tenant)
    assert await refused(rooms, tenant, assertion("sam.lee@acme.com")) is Code.USER_AMBIGUOUS
    assert await who(rooms, tenant, assertion("ingrid.solberg@acme.com")) == seed.INGRID.remote_id


async def test_a_value_with_a_comma_is_never_asked_live(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("globex")
    asserted = assertion(lms_user_id=seed.COMMA.remote_id)
    assert await refused(rooms, tenant, asserted) is Code.USER_UNKNOWN
    assert rooms.asked("/lms/users") == 0
    await rooms.sync(tenant)
    assert await who(rooms, tenant, asserted) == seed.COMMA.remote_id


async def test_where_neither_side_can_say_it_is_unknown_and_not_unmatched(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme")
    await rooms.control("down", value=True)
    assert await refused(rooms, tenant, assertion(seed.JANE.remote_id)) is Code.USER_UNKNOWN
    await rooms.control("down", value=False)
    await rooms.sync(tenant)
    await rooms.control("down", value=True)
    assert await refused(rooms, tenant, assertion("nobody")) is Code.USER_UNMATCHED


async def test_one_person_by_email_in_half_a_directory_is_not_yet_exactly_one(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme", identity=[{"email": "name_id"}])
    by_id = rooms.deployment.tenant("globex")
    assert by_id
    await rooms.live.people(tenant, "remote_id", seed.SAM.remote_id)
    await rooms.control("down", value=True)
    assert await refused(rooms, tenant, assertion("sam.lee@acme.com")) is Code.USER_UNKNOWN


async def test_a_present_identifier_that_matches_nobody_does_not_fall_to_a_weaker_one(rooms: Rooms) -> None:
    entries = [{"attribute": "lms_user_id"}, {"email": "mail"}]
    strict = rooms.deployment.tenant("globex", identity=entries)
    await rooms.sync(strict)
    asserted = assertion(lms_user_id="nobody", mail="rita.moreno@globex.com")
    assert await refused(rooms, strict, asserted) is Code.USER_UNMATCHED
    assert await who(rooms, strict, assertion(mail="rita.moreno@globex.com")) == "E777"
    entries[0]["on_miss"] = "next"
    assert await who(rooms, rooms.deployment.tenant("globex", identity=entries), asserted) == "E777"


async def test_extract_cuts_the_asserted_value_and_must_fit_the_whole(rooms: Rooms) -> None:
    entries = [{"attribute": "lms_user_id", "extract": r"(?P<id>E\d+)@globex"}, {"email": "mail"}]
    tenant = rooms.deployment.tenant("globex", identity=entries)
    assert await who(rooms, tenant, assertion(lms_user_id="E777@globex")) == "E777"
    for value in ("E777", "E777@globex.com", "xE777@globex", "E777@globex\n"):
        asserted = assertion(lms_user_id=value, mail="rita.moreno@globex.com")
        assert await refused(rooms, tenant, asserted) is Code.USER_UNMATCHED


async def test_composite_remote_ids_are_matched_in_the_directory_only(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("vandelay")
    assert await refused(rooms, tenant, assertion(personnel_number="00012345")) is Code.USER_UNKNOWN
    await rooms.sync(tenant)
    before = rooms.asked("/lms/users")
    assert await who(rooms, tenant, assertion(personnel_number="00012345")) == seed.KLARA.remote_id
    assert await refused(rooms, tenant, assertion(personnel_number="0001234")) is Code.USER_UNMATCHED
    assert rooms.asked("/lms/users") == before
    both = [{"attribute": "personnel_number", "remote_extract": r"PERNR:(?P<id>\d+)\|\w+"}]
    loose = rooms.deployment.tenant("vandelay", identity=both)
    assert await refused(rooms, loose, assertion(personnel_number="00012345")) is Code.USER_AMBIGUOUS


async def test_unmatched_people_pass_where_the_library_lets_them(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme", gate="library", unmatched="pass")
    first, again, other = [
        await rooms.resolver.resolve(assertion(name), tenant) for name in ("stranger", "stranger", "another")
    ]
    assert first.person is None
    assert first.subject == again.subject != other.subject
    assert first.subject is not None
    assert "stranger" not in first.subject
    assert await refused(rooms, tenant, assertion(seed.MARTIN.remote_id)) is Code.USER_INACTIVE
    assert await refused(rooms, tenant, assertion(None)) is Code.IDENTIFIER_MISSING


async def test_an_answer_about_somebody_else_is_no_answer(rooms: Rooms) -> None:
    """A connector that drops the filter answers with everybody."""
    tenant = rooms.deployment.tenant("initech")
    await rooms.control("faults", kind="rows", count=None, patch={"work_email": "somebody@initech.com"})
    assert await refused(rooms, tenant, assertion(mail="peter.gibbons@initech.com")) is Code.USER_UNKNOWN


async def test_people_too_long_unseen_are_asked_about_again(rooms: Rooms) -> None:
    tenant = rooms.deployment.tenant("acme", kombo={"integration_id": seed.ACME, "stale_for": "1s"})
    await rooms.sync(tenant)
    await rooms.control("down", value=True)
    assert await who(rooms, tenant, assertion(seed.JANE.remote_id)) == seed.JANE.remote_id
    await asyncio.sleep(1.1)
    assert await refused(rooms, tenant, assertion(seed.JANE.remote_id)) is Code.USER_UNKNOWN


@pytest.mark.parametrize("entry", [{"email": "name_id"}, {"name_id": True, "remote_extract": r"(?P<id>[^|]+)\|\d+"}])
async def test_one_active_person_among_more_than_can_be_looked_at_is_not_exactly_one(
    rooms: Rooms, entry: dict[str, object]
) -> None:
    tenant = rooms.deployment.tenant("acme", identity=[entry])
    await rooms.sync(tenant)
    moment = datetime.now(UTC)

    def people(active: set[int]) -> list[User]:
        status = {True: "ACTIVE", False: "INACTIVE"}
        return [User(f"u{n}", f"many|{n}", moment, work_email="many", status=status[n in active]) for n in range(120)]

    await rooms.store.write(lambda c: directory.save_users(c, seed.ACME, people({0, 119})[:80], now_ms()))
    assert await who(rooms, tenant, assertion("many")) == "many|0"
    await rooms.store.write(lambda c: directory.save_users(c, seed.ACME, people({0, 119}), now_ms()))
    assert await refused(rooms, tenant, assertion("many")) is Code.USER_AMBIGUOUS
    await rooms.store.write(lambda c: directory.save_users(c, seed.ACME, people({0}), now_ms()))
    assert await refused(rooms, tenant, assertion("many")) is Code.USER_AMBIGUOUS
