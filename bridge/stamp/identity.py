"""What the bridge says of a request, before it is put into headers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Learner:
    """Who the learner is. `user_id` is None, `match` empty and `subject` set where nobody in Kombo matched.

    `email` and `name` are None where the tenant does not share them. `email_trusted` says that the address lies in the
    tenant's own `email_domains`; only then may it stand alone, without the tenant, as an identity. `auth_time` is in
    seconds since 1970.
    """

    tenant: str
    integration_id: str
    match: str
    auth_time: int
    user_id: str | None = None
    subject: str | None = None
    remote_id: str | None = None
    email: str | None = None
    name: str | None = None
    email_trusted: bool = False

    @property
    def sub(self) -> str:
        """Unique over all tenants; stable as long as Kombo's id (or the NameID of an unmatched learner) is."""
        return f"{self.tenant}:{self.user_id}" if self.user_id else f"{self.tenant}:unmatched:{self.subject}"


@dataclass(frozen=True, slots=True)
class Access:
    """What was decided of a course. `gate` is `library`, `fresh` or `stale`; `enrollment` a status or `LIBRARY`."""

    course: str
    enrollment: str
    gate: str
    progression: str | None = None
