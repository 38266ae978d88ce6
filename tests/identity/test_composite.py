"""People by a part of their remote id."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from sqlalchemy import text

from bridge.identity.composite import literal_before, user_ids
from bridge.kombo.model import User
from bridge.settings.values import Regex
from bridge.store.engine import Store
from tests.support.directories import LONG_AGO, Directory, directory_over

PATTERNS = yaml.safe_load(Path(__file__).with_name("patterns.yaml").read_text("utf-8"))
ODD = [
    "A:1|x",
    "a:1|x",
    "A:1|y",
    "A:10|x",
    "A:1%|x",
    "A:1_|x",
    "A:12|x",
    "A:1/|x",
    "A:1\\|x",
    "A:1'|x",
    'A:1"|x',
    "A:1\ud7ff|x",
    "A:1\ue000|x",
    "A:1\U0010ffff|x",
    "A:ä|x",
    "A:a\u0308|x",
    "A:Ä|x",
    "B:1|x",
    "1",
    "x|A:1",
]
COMPOSITES = [r"A:(?P<id>.+)\|x", r"(?P<id>.+)\|x", r"[AB]:(?P<id>.+)\|.", r".*(?P<id>1)", r"(?P<id>1)"]


@pytest_asyncio.fixture
async def people(either_store: Store, tmp_path: Path) -> AsyncIterator[Directory]:
    """Everybody of `ODD` whose id a store can hold, under their place in it; one more is deleted."""
    async with directory_over(either_store, tmp_path) as found:
        users = [User(f"u{number}", remote_id, LONG_AGO) for number, remote_id in enumerate(ODD)]
        deleted = User("gone", "A:1|x", LONG_AGO, remote_deleted_at=LONG_AGO)
        await found.fill(users=[*users, deleted])
        yield found


@pytest.mark.parametrize(("pattern", "before"), PATTERNS, ids=[pattern for pattern, _ in PATTERNS])
def test_what_stands_before_the_id(pattern: str, before: str | None) -> None:
    assert Regex.parse(pattern)
    assert literal_before(pattern) == before


# fmt: off
PIECES = [
    r"a", r"b", r"\|", r"|", r".", r"a*", r"(a|b)", r"[ab]", r"(?P<id>[ab]+)", r"(?P<id>a|b)", r"(?P<id>.*)",
    r"(?P<id>[^)]*)", r"+", r"?", r"{2}", r"^", r"$", r"\d", r"\Qa\E", r"(?i)", r"(", r")", r"[", r"]", r"\\", r"\(",
    r"(?P<id>\)a)", r"(?P<id>[)]b)", r"(?P<id>(a)(b))", r"(?:", r"(?P<id>a", r"(?P<id>[\]a]+)",
    r"(?P<id>[[:alpha:]]+)", r"\x61", r"|b", r"(?U)",
]
# fmt: on


def test_it_does_so_in_whatever_matches() -> None:
    """Patterns and texts by chance; a thousand and more of them match."""
    chance, matches = random.Random(4), 0
    for _ in range(30_000):
        pattern = "".join(chance.choices(PIECES, k=chance.randint(1, 6)))
        before = literal_before(pattern)
        if before is None:
            continue
        try:
            compiled = Regex.parse(pattern)
        except ValueError:
            continue
        for _ in range(8):
            text = "".join(chance.choices("ab|)(\\A", k=chance.randint(0, 5)))
            match = compiled.fullmatch(text)
            if match and match["id"] is not None:
                matches += 1
                assert text.startswith(before + match["id"]), (pattern, text)
    assert matches > 1000


async def test_the_same_people_as_by_taking_everybodys_id_apart(people: Directory) -> None:
    values = sorted({part for remote_id in ODD for part in (remote_id, remote_id[2:-2], remote_id[:-2], remote_id[:3])})
    expected, found = {}, {}
    for pattern in map(Regex.parse, COMPOSITES):
        for value in filter(None, values):
            matches = {f"u{n}": pattern.fullmatch(remote_id) for n, remote_id in enumerate(ODD)}
            expected[pattern, value] = sorted(id for id, match in matches.items() if match and match["id"] == value)
            integration = people.tenant.integration_id
            found[pattern, value] = await people.store.read(
                lambda c, i=integration, p=pattern, v=value: sorted(user_ids(c, i, p, v))
            )
    assert found == expected
    assert sum(map(len, expected.values())) > len(ODD)


INDEXED = {
    "sqlite": (
        "EXPLAIN QUERY PLAN SELECT id FROM users WHERE integration_id = 'i' AND deleted_at IS NULL"
        " AND remote_id >= 'A:1' AND remote_id < 'A:2'",
        "INDEX users_remote_id (integration_id=? AND remote_id>? AND remote_id<?)",
    ),
    "postgresql": ("SELECT indexdef FROM pg_indexes WHERE indexname = 'users_remote_id'", "text_pattern_ops"),
}


async def test_they_are_found_by_the_index(people: Directory) -> None:
    query, expected = INDEXED[people.store.engine.dialect.name]
    assert expected in await people.store.read(lambda c: str(c.execute(text(query)).all()))
