"""From a session to what the platform is told of its learner."""

from __future__ import annotations

from bridge.session.sessions import Entry
from bridge.stamp.identity import Learner


def learner(entry: Entry) -> Learner:
    """Ids always; the address and the name only where the tenant shares them."""
    row, person, tenant = entry.row, entry.person, entry.tenant
    if person is None:
        return Learner(row.tenant, row.integration_id, row.tier, row.auth_time, subject=row.subject)
    email = person.email if "email" in tenant.share else None
    domain = email.rpartition("@")[2].lower() if email else ""
    return Learner(
        tenant=row.tenant,
        integration_id=row.integration_id,
        match=row.tier,
        auth_time=row.auth_time,
        user_id=person.id,
        remote_id=person.remote_id,
        email=email,
        name=person.name if "name" in tenant.share else None,
        email_trusted=domain in tenant.email_domains,
    )
