"""Rows as Kombo writes them: every documented key present, null where there is nothing to say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.simulator import fields
from bridge.simulator.answers import when
from bridge.simulator.integration import Integration
from bridge.simulator.records import Course, Progression, Record, Revision, Skill, User
from bridge.simulator.table import Seen

Json = dict[str, Any]


def user(integration: Integration, seen: Seen[User]) -> Json:
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
        **_extras(integration, "lms_users", record),
    }


def course(integration: Integration, seen: Seen[Course], revisions: Iterable[Seen[Revision]] | None = None) -> Json:
    """With its revisions as Kombo has seen them, where none are given."""
    record = seen.record
    revisions = revisions_of(integration, record.id) if revisions is None else revisions
    provider = integration.providers.seen.get(record.provider_id or "")
    return {
        "id": record.id,
        "remote_id": record.remote_id,
        "provider_id": record.provider_id,
        "origin_id": record.origin_id,
        "remote_created_at": when(record.remote_created_at),
        **_marks(seen),
        **_extras(integration, "lms_courses", record),
        "provider": _named(provider) if provider else None,
        "revisions": [revision(integration, each) for each in revisions],
    }


def revision(integration: Integration, seen: Seen[Revision]) -> Json:
    record = seen.record
    skills = [integration.skills.seen.get(id) for id in record.skills or ()]
    return {
        "id": record.id,
        "remote_id": record.remote_id,
        "course_id": record.course_id,
        "title": record.title,
        "description": record.description,
        "remote_url": record.remote_url,
        "status": record.status,
        "remote_created_at": when(record.remote_created_at),
        **_marks(seen),
        **_extras(integration, "lms_course_revisions", record),
        "skill_assignments": [{"skill": _named(each)} for each in skills if each],
    }


def skill(integration: Integration, seen: Seen[Skill]) -> Json:
    record = seen.record
    return {
        **_named(seen),
        "remote_created_at": when(record.remote_created_at),
        **_marks(seen),
        **_extras(integration, "lms_skills", record),
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
        "remote_data": record.remote_data,
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
    return list(integration.revisions.seen.where("course_id", course_id))


def _marks(seen: Seen[Any]) -> Json:
    return {"changed_at": when(seen.changed_at), "remote_deleted_at": when(seen.remote_deleted_at)}


def _named(seen: Seen[Any]) -> Json:
    record = seen.record
    return {"id": record.id, "remote_id": record.remote_id, "name": record.name}


def _extras(integration: Integration, model: str, record: Record) -> Json:
    values = fields.values(model, record, integration.integration_fields, integration.custom_fields)
    return {"remote_data": record.remote_data, **values}
