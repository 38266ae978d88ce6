"""Rows as Kombo writes them: every documented key present, null where there is nothing to say."""

from __future__ import annotations

from typing import Any

from bridge.simulator.answers import when
from bridge.simulator.records import Course, Progression, Revision, User
from bridge.simulator.table import Seen
from bridge.simulator.world import Integration

Json = dict[str, Any]
_EXTRAS: Json = {"remote_data": None, "custom_fields": None, "integration_fields": []}


def user(_: Integration, seen: Seen[User]) -> Json:
    record = seen.record
    return {
        "id": record.id,
        "remote_id": record.remote_id,
        "first_name": record.first_name,
        "last_name": record.last_name,
        "work_email": record.work_email,
        "status": record.status,
        "remote_created_at": when(record.remote_created_at),
        **_marks(seen),
        **_EXTRAS,
    }


def course(integration: Integration, seen: Seen[Course]) -> Json:
    record = seen.record
    return {
        "id": record.id,
        "remote_id": record.remote_id,
        "provider_id": None,
        "origin_id": record.origin_id,
        "remote_created_at": when(record.remote_created_at),
        **_marks(seen),
        **_EXTRAS,
        "provider": None,
        "revisions": [revision(each) for each in revisions_of(integration, record.id)],
    }


def revision(seen: Seen[Revision]) -> Json:
    record = seen.record
    return {
        "id": record.id,
        "remote_id": record.remote_id,
        "course_id": record.course_id,
        "title": record.title,
        "description": record.description,
        "remote_url": None,
        "status": record.status,
        "remote_created_at": when(record.remote_created_at),
        **_marks(seen),
        **_EXTRAS,
        "skill_assignments": [],
    }


def progression(integration: Integration, seen: Seen[Progression]) -> Json | None:
    """None while Kombo has not yet seen the user or the revision: the nested objects cannot be null."""
    record = seen.record
    learner = integration.users.seen.get(record.user_id)
    of = integration.revisions.seen.get(record.course_revision_id)
    if learner is None or of is None:
        return None
    parent = integration.courses.seen.get(of.record.course_id or "")
    person = learner.record
    return {
        "id": record.id,
        "remote_id": record.remote_id,
        "user_id": record.user_id,
        "course_revision_id": record.course_revision_id,
        "status": record.status,
        "enrolled_at": when(record.enrolled_at),
        "completed_at": when(record.completed_at),
        **_marks(seen),
        "remote_data": None,
        "user": {
            "id": person.id,
            "remote_id": person.remote_id,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "work_email": person.work_email,
        },
        "course_revision": {
            "id": of.record.id,
            "remote_id": of.record.remote_id,
            "title": of.record.title,
            "course": {"id": parent.record.id, "remote_id": parent.record.remote_id} if parent else None,
        },
    }


def revisions_of(integration: Integration, course_id: str) -> list[Seen[Revision]]:
    return [seen for seen in integration.revisions.seen.values() if seen.record.course_id == course_id]


def _marks(seen: Seen[Any]) -> Json:
    return {"changed_at": when(seen.changed_at), "remote_deleted_at": when(seen.remote_deleted_at)}
