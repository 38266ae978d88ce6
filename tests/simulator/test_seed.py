from __future__ import annotations

import re

from bridge.simulator import seed
from bridge.simulator.catalogue import CATALOGUE
from bridge.simulator.seed import seeded


def snapshot() -> str:
    return repr([(id, {name: dict(table.seen) for name, table in each.tables.items()}) for id, each in worlds()])


def worlds() -> list[tuple[str, seed.Integration]]:
    return list(seeded().integrations.items())


def test_it_is_always_the_same() -> None:
    assert snapshot() == snapshot()


def test_the_shape_of_ids() -> None:
    for id, integration in worlds():
        assert re.fullmatch(r"[a-z]+:[1-9A-HJ-NP-Za-km-z]{24}", id)
        for table in integration.tables.values():
            assert all(re.fullmatch(r"[1-9A-HJ-NP-Za-km-z]{24}", each) for each in table.seen)


def test_nobody_is_there_twice() -> None:
    assert len({(person.integration, person.remote_id) for person in seed.PEOPLE}) == len(seed.PEOPLE)
    assert 36 <= len(seed.PEOPLE) <= 60
    assert len({offer.origin_id for offer in CATALOGUE}) == len(CATALOGUE)


def test_the_docstring_names_the_whole_cast() -> None:
    named = set(re.findall(r"[A-Z][A-Z_]+", seed.__doc__ or ""))
    cast = {name for name, value in vars(seed).items() if isinstance(value, seed.Person)}
    tenants = {"ACME", "GLOBEX", "INITECH", "VANDELAY"}
    assert cast == {name for name in named if name in vars(seed)} - tenants
    assert {getattr(seed, name) for name in cast} == set(seed.CAST)


def test_gone_people() -> None:
    world = seeded()
    acme, globex = world.integrations[seed.ACME], world.integrations[seed.GLOBEX]
    olga, frank = acme.users.seen[seed.OLGA.id], globex.users.seen[seed.FRANK.id]
    assert (olga.record.first_name, olga.record.work_email, bool(olga.remote_deleted_at)) == (None, None, True)
    assert (frank.record.first_name, bool(frank.remote_deleted_at)) == ("Frank", True)
    assert seed.OLGA.id not in acme.users.lms
