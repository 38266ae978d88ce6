"""Which permissions a tenant needs at Kombo, by its settings: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bridge.settings.model import Service, Tenant

USERS, COURSES = "lms_users", "lms_courses"
REVISIONS, PROGRESSIONS = "lms_course_revisions", "lms_course_progressions"
"""Models, as Kombo's webhooks call them."""

UPSERT, DEACTIVATE = "lms_upsert_courses", "lms_deactivate_course"
ENROLL, COMPLETE = "lms_create_course_progression", "lms_complete_course_progression"
"""Actions. Kombo does not publish their names for LMSs: guesses after its other categories, here alone. One that Kombo
does not name at all counts as unknown, never as missing."""


@dataclass(frozen=True, slots=True)
class Need:
    """A model to be read, or one of its fields, or an action; `what_for` follows "which is needed" in sentences.

    Without a `vital` one somebody is shut out, or something is never written; without another, something stays empty.
    """

    kind: Literal["read", "write"]
    id: str
    what_for: str
    field: str | None = None
    vital: bool = True

    @property
    def name(self) -> str:
        return f"{self.id}.{self.field}" if self.field else self.id


def needs(service: Service, tenant: Tenant, *, pushed: bool) -> list[Need]:
    """All of them; `pushed`: courses were pushed into the tenant's LMS from here, and may be again."""
    return [*_people(tenant), *_courses(service, tenant), *_pushing(pushed)]


def _people(tenant: Tenant) -> Iterator[Need]:
    yield Need("read", USERS, "to recognise anybody")
    yield Need("read", USERS, "to refuse people who are inactive", "status", vital=False)
    if any(entry.tier == "email" for entry in tenant.identity):
        yield Need("read", USERS, "for `identity: email`", "work_email")
    elif "email" in tenant.share:
        yield Need("read", USERS, "for `share: email`", "work_email", vital=False)
    if "name" in tenant.share:
        for field in ("first_name", "last_name"):
            yield Need("read", USERS, "for `share: name`", field, vital=False)


def _courses(service: Service, tenant: Tenant) -> Iterator[Need]:
    completes = bool(service.completions) or service.completion_header or service.internal_token is not None
    enrolls = tenant.on_launch == "enroll"
    assigned = tenant.gate.default == "assigned" or bool(tenant.gate.globs)
    reasons = [
        *(["for `gate: assigned`"] if assigned else []),
        *(["for `on_launch: enroll`"] if enrolls else []),
        *(["for completions"] if completes else []),
    ]
    if not reasons:
        return
    what_for = " and ".join(reasons)
    for model in (COURSES, REVISIONS, PROGRESSIONS):
        yield Need("read", model, what_for)
    if enrolls or completes:
        yield Need("write", ENROLL, " and ".join(reasons[assigned:]))
    if completes:
        yield Need("write", COMPLETE, "for completions")


def _pushing(pushed: bool) -> Iterator[Need]:
    if pushed:
        yield Need("write", UPSERT, "for `courses push`", vital=False)
        yield Need("write", DEACTIVATE, "for `courses deactivate`", vital=False)
