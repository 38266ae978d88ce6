"""Looking for people under nearly the same value: for whoever explains why nobody was found, never for a sign-in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, false, func, or_, select, true

from bridge.store import tables
from bridge.store.people import fold
from bridge.store.rows import STRETCH

PEOPLE = tables.users.c
COURSE, MAP, PUSH = tables.courses.c, tables.course_map.c, tables.pushes.c
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Counts:
    """How many living people an integration has, and how many of them have an address."""

    people: int
    addresses: int


def counts(connection: Connection, integration_id: str) -> Counts:
    row = connection.execute(
        select(func.count().label("people"), func.count(PEOPLE.email_folded).label("addresses")).where(
            _living(integration_id)
        )
    ).one()
    return Counts(row.people, row.addresses)


def remote_ids(
    connection: Connection, integration_id: str, after: str | None, limit: int = STRETCH
) -> Sequence[tuple[str, str]]:
    """A stretch of people, by Kombo id: pairs of Kombo id and remote id. Kombo's ids say nothing of whose they are, so
    that any stretch is a fair sample."""
    further = true() if after is None else PEOPLE.id > after
    rows = connection.execute(
        select(PEOPLE.id, PEOPLE.remote_id).where(_living(integration_id), further).order_by(PEOPLE.id).limit(limit)
    )
    return [(row.id, row.remote_id) for row in rows]


def has_any(connection: Connection, integration_id: str, remote_ids: Sequence[str]) -> bool:
    """Whether anybody has one of these remote ids."""
    for start in range(0, len(remote_ids), AT_ONCE):
        some = PEOPLE.remote_id.in_(remote_ids[start : start + AT_ONCE])
        if connection.execute(select(PEOPLE.id).where(_living(integration_id), some).limit(1)).first() is not None:
            return True
    return False


def domains_of(connection: Connection, integration_id: str, local_part: str, limit: int) -> Sequence[tuple[str, str]]:
    """Of addresses with that local part: pairs of Kombo id and domain, in ASCII lower case."""
    start = fold(local_part) + "@"
    address = PEOPLE.email_folded
    within: ColumnElement[bool] = (address >= start) & (address < start[:-1] + "A")  # the character after @
    if connection.dialect.name != "sqlite":  # whose order is a language's
        within = address.startswith(start, autoescape=True)
    rows = connection.execute(
        select(PEOPLE.id, address.label("address")).where(_living(integration_id), within).limit(limit)
    )
    return [(row.id, row.address.removeprefix(start)) for row in rows]


def count_in_domains(connection: Connection, integration_id: str, domains: Collection[str]) -> int:
    """How many people have an address in one of the domains."""
    folded = [fold(domain) for domain in domains]
    ends = or_(false(), *(PEOPLE.email_folded.endswith(f"@{domain}", autoescape=True) for domain in folded))
    return connection.execute(
        select(func.count()).select_from(tables.users).where(_living(integration_id), ends)
    ).scalar_one()


def integrations_with(connection: Connection, among: Sequence[str], value: str) -> list[str]:
    """Those of the integrations that have somebody under the value, as remote id or as address."""
    found: list[str] = []
    for start in range(0, len(among), AT_ONCE):
        some = among[start : start + AT_ONCE]
        for condition in (PEOPLE.remote_id == value, PEOPLE.email_folded == fold(value)):
            rows = connection.scalars(
                select(PEOPLE.integration_id)
                .where(PEOPLE.integration_id.in_(some), PEOPLE.deleted_at.is_(None), condition)
                .distinct()
            )
            found += rows
    return sorted(set(found))


def unnamed_courses(connection: Connection, integration_id: str) -> int:
    """How many courses Kombo shows without an origin id that are not on the course map either."""
    mapped = select(MAP.course_id).where(MAP.integration_id == integration_id)
    unnamed = (func.coalesce(COURSE.origin_id, "") == "") & COURSE.deleted_at.is_(None)
    return connection.execute(
        select(func.count())
        .select_from(tables.courses)
        .where(COURSE.integration_id == integration_id, unnamed, COURSE.id.not_in(mapped))
    ).scalar_one()


def push_state(connection: Connection, integration_id: str, origin_id: str) -> str | None:
    """What became of the course's last push; None where it was never pushed."""
    row = select(PUSH.state).where(PUSH.integration_id == integration_id, PUSH.origin_id == origin_id)
    return connection.execute(row).scalar()


def _living(integration_id: str) -> ColumnElement[bool]:
    return (PEOPLE.integration_id == integration_id) & PEOPLE.deleted_at.is_(None)
