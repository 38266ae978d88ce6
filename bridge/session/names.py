"""What the IdP calls sessions, by which it ends them (single logout, profiles 4.4).

A logout is remembered longer than an assertion may be old, so that one from before it opens no session after it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from bridge.digests import digest_of
from bridge.saml.logout import LogoutRequest
from bridge.saml.model import NameId
from bridge.settings.model import Tenant
from bridge.store import sessions as rows
from bridge.store.engine import moment_ms
from bridge.store.sessions import SessionRow


@dataclass(frozen=True, slots=True)
class AtIdp:
    """A session that the IdP is to end as well: what it calls it."""

    tenant: Tenant
    name: NameId
    session_index: str | None


def name_digest(name: NameId) -> str:
    """By what the sessions of a NameID are found, inside one tenant's IdP: by its value alone.

    SAML core 3.3.4 would compare the Format and both qualifiers too. IdPs leave out of a logout what they said at the
    login, since all three have defaults (8.3.7, 8.3.1), and a session that is missed goes on after its person has left.
    Two people of one tenant whose NameIDs differ in a qualifier only, behind an IdP that stands for several, have each
    other's sessions ended: they sign in again. Only the tenant's own IdP can say so, and it ends its sessions anyway.
    """
    return digest_of(name.value)


def in_clear(name: NameId, tenant: Tenant) -> str | None:
    """A NameID as a session keeps it; None where the IdP is told of no logout, as then nobody needs it in clear."""
    return json.dumps(asdict(name)) if _is_told(tenant) else None


def at_idp(row: SessionRow, tenant: Tenant) -> AtIdp | None:
    """A session as the tenant's IdP knows it, if the IdP is to be told that it ended."""
    if not row.name_id or not _is_told(tenant):
        return None
    return AtIdp(tenant, NameId(**json.loads(row.name_id)), row.session_index)


def alone(connection: Connection, row: SessionRow) -> None:
    """One transaction at a time for the session's person, if the IdP named one (`bridge.store.sessions.alone`)."""
    if mark := _mark(row):
        rows.alone(connection, mark)


def logged_out_since(connection: Connection, row: SessionRow, issued: int) -> bool:
    """Whether the IdP has logged the session's person out after the moment `issued`, in milliseconds since 1970."""
    mark = _mark(row)
    return mark is not None and issued < (rows.logged_out_at(connection, mark) or 0)


def end(connection: Connection, tenant: Tenant, request: LogoutRequest) -> frozenset[str]:
    """End what the tenant's IdP wants ended; the sessions' digests, none where the same request came before."""
    provider, name = tenant.provider.entity_id, name_digest(request.subject)
    used, mark = digest_of(tenant.slug, provider, request.id), digest_of(tenant.slug, provider, name)
    if not rows.use_once(connection, "logout", used, moment_ms(request.expires)):
        return frozenset()
    rows.alone(connection, mark)
    rows.note_logout(connection, mark, moment_ms(request.issued))
    return rows.end_name(connection, tenant.slug, provider, name, request.session_indexes)


def _is_told(tenant: Tenant) -> bool:
    """Whether the IdP is told of logouts."""
    return tenant.saml.single_logout and bool(tenant.provider.logout)


def _mark(row: SessionRow) -> str | None:
    """The session's person among what is remembered of logouts; None where the IdP named nobody."""
    return digest_of(row.tenant, row.provider, row.name_digest) if row.name_digest else None
