"""From a session to what the platform is told of its learner, and to what the log says of the learner's requests."""

from __future__ import annotations

import json
import re

from bridge.session.sessions import Entry
from bridge.stamp.identity import Access, Learner
from bridge.store.directory import fold

# One address that every parser reads alike: no list, display name, quoted part, comment or route in it.
_ADDRESS = re.compile(r"[A-Za-z0-9.#$&'*+/=?^_`{|}~-]+@([A-Za-z0-9.-]+)")


def learner(entry: Entry) -> Learner:
    """Ids always; the address and the name only where the tenant shares them."""
    row, person, tenant = entry.row, entry.person, entry.tenant
    if person is None:
        return Learner(row.tenant, row.integration_id, "", row.auth_time, subject=row.subject)
    email = person.email if "email" in tenant.share else None
    address = _ADDRESS.fullmatch(email or "")
    return Learner(
        tenant=row.tenant,
        integration_id=row.integration_id,
        match=row.tier,
        auth_time=row.auth_time,
        user_id=person.id,
        remote_id=person.remote_id,
        email=email,
        name=person.name if "name" in tenant.share else None,
        email_trusted=address is not None and fold(address[1]) in tenant.email_domains,
    )


def logged(learner: Learner, access: Access | None) -> bytes:
    """The members of a log line that say whose a request is (`bridge.exchange.Forward`). Ids only: no name, no address.

    Made once for a session and a course, so that a request's line costs no more than copying them. As in all lines,
    what is not printable ASCII is escaped: a terminal could take it for more than text.
    """
    said = {"tenant": learner.tenant, "user": learner.user_id}
    if access is not None:
        said |= {"course": access.course, "gate": access.gate}
    return json.dumps(said)[1:-1].encode("ascii")
