"""What the platform is told of a learner."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.front.learners import learner
from bridge.session.sessions import Entry
from bridge.store.lookups import Person
from bridge.store.sessions import SessionRow
from tests.support.deployment import Deployment

ROW = SessionRow("", "acme", "workday:x", "https://idp", "u1", None, "name_id", 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("email", "trusted"),
    [
        ("jane.doe+x@acme.com", True),
        ("jane@ACME.com", True),
        ("o'hara@acme.com", True),
        (None, False),
        ("jane@globex.com", False),
        ("jane@sub.acme.com", False),
        ("rita@globex.com,jane@acme.com", False),
        ("rita@globex.com jane@acme.com", False),
        ("rita@globex.com <jane@acme.com", False),
        ("rita@globex.com@acme.com", False),
        ('"rita@globex.com"@acme.com', False),
        ("(rita@globex.com)jane@acme.com", False),
        ("rita%globex.com@acme.com", False),
        ("globex.com!rita@acme.com", False),
        ("rita@globex.com\n@acme.com", False),
        ("jane@acme.com\n", False),
        ("jane@a\u212ame.com", False),
        ("@acme.com", False),
    ],
)
def test_an_address_stands_alone_only_where_everybody_reads_the_tenants_own_domain(
    email: str | None, trusted: bool, tmp_path: Path
) -> None:
    """Each customer says in its own directory what its people's addresses are."""
    tenant = Deployment(tmp_path).tenant("acme", email_domains=["acme.com", "akme.com"])
    person = Person("u1", "E1", email, None, None, None, 1)
    told = learner(Entry(ROW, tenant, person, until=0))
    assert (told.email, told.email_trusted) == (email, trusted)
