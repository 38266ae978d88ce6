"""Addresses that drift: noticed of whom, written once, and said without the address."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from bridge.identity import drifts
from bridge.identity.drifts import Drifts, asserted_address, look
from bridge.identity.resolver import Match
from bridge.identity.tried import Tried
from bridge.kombo.model import User
from bridge.saml.model import Assertion, Attribute, NameId
from bridge.settings.model import IdentityEntry, Tenant
from bridge.store import drifts as rows
from bridge.store.engine import Store, now_ms
from bridge.store.lookups import Person
from tests.support.deployment import Deployment
from tests.support.directories import LONG_AGO, Directory

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "addresses.yaml").read_text(encoding="utf-8"))
JANE = Person("u1", "r1", "Jane@acme.com", "Jane", "Doe", None, 1)
BY_MAIL = IdentityEntry(tier="email", source="mail")


def assertion(name_id: str = "x", format: str | None = None, **attributes: str | list[str]) -> Assertion:
    moment = datetime.now(UTC)
    found = (
        Attribute(name, None, (values,) if isinstance(values, str) else tuple(values))
        for name, values in attributes.items()
    )
    return Assertion(
        "_a", "idp", NameId(name_id, format), tuple(found), moment, moment, None, None, moment, in_response_to=None
    )


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return Deployment(tmp_path).tenant("acme")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_what_an_assertion_says_the_address_is(tmp_path: Path, case: dict[str, Any]) -> None:
    tenant = Deployment(tmp_path).tenant("acme", identity=case["identity"])
    said = assertion(case.get("name_id", "x"), case.get("format"), **case.get("attributes", {}))
    assert asserted_address(said, tenant) == case.get("says")


async def noticed(store: Store) -> list[tuple[str, str, str | None, int]]:
    found = await store.read(lambda connection: rows.recent(connection, None, 100))
    return sorted((each.kind, each.user_id, each.other_id, each.times) for each in found)


async def test_it_is_written_and_said_once_for_each_address(store: Store, tenant: Tenant) -> None:
    found = Drifts(store)
    with capture_logs() as logs:
        for mail in ("doe@acme.com", "DOE@acme.com", "smith@acme.com"):
            found.matched(tenant, assertion(mail=mail), Match("name_id", JANE))
        await found.write()
    assert await noticed(store) == [("address_changed", "u1", None, 1), ("address_changed", "u1", None, 1)]
    said = {"event": "address_changed", "log_level": "warning", "tenant": "acme", "user": "u1"}
    assert logs == [said, said]


async def test_what_another_process_has_said_is_not_said_again(store: Store, tenant: Tenant) -> None:
    with capture_logs() as logs:
        for process in (Drifts(store), Drifts(store)):
            for _ in range(3):
                process.matched(tenant, assertion(mail="doe@acme.com"), Match("name_id", JANE))
                await process.write()
    assert await noticed(store) == [("address_changed", "u1", None, 2)], "each process has written it once"
    assert len(logs) == 1


@pytest.mark.parametrize(
    ("match", "mail"),
    [
        (Match("name_id", JANE), "jane@ACME.com"),
        (Match("email", JANE), "doe@acme.com"),
        (Match("name_id", replace(JANE, email=None)), "doe@acme.com"),
        (Match("name_id", None, "subject"), "doe@acme.com"),
        (Match("name_id", JANE), "nothing that is an address"),
    ],
    ids=["the same", "known by it", "Kombo has none", "nobody", "none"],
)
async def test_what_is_no_drift(store: Store, tenant: Tenant, match: Match, mail: str) -> None:
    found = Drifts(store)
    found.matched(tenant, assertion(mail=mail), match)
    await found.write()
    assert await noticed(store) == []


async def test_no_more_waits_than_there_is_room_for(
    store: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drifts, "ROOM", 10)
    found = Drifts(store)
    for number in range(50):
        found.matched(tenant, assertion(mail=f"{number}@acme.com"), Match("name_id", JANE))
    await found.write()
    assert len(await noticed(store)) == 10


async def test_a_state_that_cannot_be_written_is_said_and_holds_nothing_up(store: Store, tenant: Tenant) -> None:
    found = Drifts(store)
    await store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE drifts RENAME TO aside"))
    with capture_logs() as logs:
        found.matched(tenant, assertion(mail="doe@acme.com"), Match("name_id", JANE))
        await found.write()
    assert [line["event"] for line in logs] == ["drifts_not_written"]
    await store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE aside RENAME TO drifts"))
    found.matched(tenant, assertion(mail="doe@acme.com"), Match("name_id", JANE))
    await found.write()
    assert len(await noticed(store)) == 1, "it was not taken for written"


def user(id: str, email: str | None, status: str | None = "ACTIVE", *, deleted: bool = False) -> User:
    return User(
        id=id,
        remote_id=f"remote {id}",
        changed_at=LONG_AGO,
        remote_deleted_at=LONG_AGO if deleted else None,
        work_email=email,
        status=status,
    )


PEOPLE = [
    user("a1", "same@acme.com"),
    user("a2", "Same@ACME.com", None),
    user("a3", "same@acme.com", "INACTIVE"),
    user("b1", "back@acme.com", "INACTIVE"),
    user("b2", "back@acme.com"),
    user("c1", "gone@acme.com", deleted=True),
    user("c2", "gone@acme.com"),
    user("d1", None),
    user("d2", None),
    user("e1", "three@acme.com"),
    user("e2", "three@acme.com"),
    user("e3", "three@acme.com"),
    user("f1", "alone@acme.com"),
]


async def test_two_active_people_with_one_address(filled: Directory) -> None:
    """Of the directory, on either kind of state; whoever is inactive, deleted or without an address is not counted."""
    await filled.fill(users=PEOPLE)
    other = filled.another("other")
    await other.fill(users=[user("z", "alone@acme.com")])
    with capture_logs() as logs:
        await look(filled.store, filled.tenant)
        await look(filled.store, filled.tenant)
        await look(filled.store, other.tenant)
    assert await noticed(filled.store) == [("address_shared", "a1", "a2", 2), ("address_shared", "e1", "e3", 2)]
    assert [(line["event"], line["user"], line["other"]) for line in logs] == [
        ("address_shared", "a1", "a2"),
        ("address_shared", "e1", "e3"),
    ]
    assert "acme.com" not in str(logs)


async def test_a_reading_notes_only_so_many(filled: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drifts, "MOST_SHARED", 3)
    await filled.fill(users=[user(f"{number}{half}", f"{number}@acme.com") for number in range(9) for half in "ab"])
    await look(filled.store, filled.tenant)
    assert len(await noticed(filled.store)) == 3


async def test_a_login_that_two_people_would_fit(filled: Directory) -> None:
    await filled.fill(users=PEOPLE)
    found = Drifts(filled.store)
    with capture_logs() as logs:
        for result, entry in (
            ("ambiguous", BY_MAIL),
            ("unmatched", BY_MAIL),
            ("ambiguous", IdentityEntry(tier="attribute", source="id")),
        ):
            found.unmatched(filled.tenant, [Tried(entry, "three@acme.com", result)])
        await found.write()
    assert {(line["user"], line["other"]) for line in logs} == {("e1", "e2"), ("e1", "e3")}


async def test_what_was_noticed_is_counted_by_tenant_and_kind(filled: Directory) -> None:
    await filled.fill(users=PEOPLE)
    await look(filled.store, filled.tenant)
    soon, later = now_ms() - 1000, now_ms() + 1000
    slug, changed = filled.tenant.slug, Drifts(filled.store)
    assert await filled.store.read(lambda c: rows.counts(c, soon)) == {(slug, "address_shared"): 2}
    for mail in ("one@acme.com", "two@acme.com"):
        changed.matched(filled.tenant, assertion(mail=mail), Match("name_id", JANE))
        await changed.write()
    assert (await filled.store.read(lambda c: rows.counts(c, soon)))[slug, "address_changed"] == 1, "one person"
    assert await filled.store.read(lambda c: rows.counts(c, later)) == {}
