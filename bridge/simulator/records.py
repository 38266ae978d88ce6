"""What a customer's LMS holds, as Kombo would read it: plain values without Kombo's own bookkeeping."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def kombo_id(*parts: str) -> str:
    """24 characters of base58, always the same for the same parts.

    Kombo derives an id from the remote id and the integration, not from the model: a user and a course with one remote
    id have one Kombo id.
    """
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest(), "big")
    digits = []
    for _ in range(24):
        number, digit = divmod(number, 58)
        digits.append(BASE58[digit])
    return "".join(digits)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`extra` is what the LMS says beyond the model, by the key of an integration field."""

    id: str
    remote_id: str | None = None
    extra: dict[str, Any] | None = None
    remote_data: dict[str, Any] | None = None


class User(Record, frozen=True, kw_only=True):
    remote_id: str
    first_name: str | None = None
    last_name: str | None = None
    work_email: str | None = None
    status: str | None = "ACTIVE"
    remote_created_at: datetime | None = None


class Provider(Record, frozen=True, kw_only=True):
    """Whose content a course is; shown on courses only, for there is no list of providers."""

    remote_id: str
    name: str | None = None


class Skill(Record, frozen=True, kw_only=True):
    """The one model whose remote id may be null."""

    name: str | None = None
    remote_created_at: datetime | None = None


class Course(Record, frozen=True, kw_only=True):
    """Title and status live on its revisions."""

    remote_id: str
    origin_id: str | None = None
    provider_id: str | None = None
    remote_created_at: datetime | None = None


class Revision(Record, frozen=True, kw_only=True):
    """`course_id` is null where the connector cannot say; `skills` are ids.

    `course_url` and `languages` are what was pushed; Kombo never returns them.
    """

    remote_id: str
    course_id: str | None = None
    title: str | None = None
    description: str | None = None
    status: str | None = "ACTIVE"
    remote_url: str | None = None
    remote_created_at: datetime | None = None
    skills: tuple[str, ...] | None = None
    course_url: str | None = None
    languages: tuple[str, ...] | None = None


class Progression(Record, frozen=True, kw_only=True):
    """`score` is what was written; Kombo never returns it."""

    remote_id: str
    user_id: str
    course_revision_id: str
    status: str | None = "ENROLLED"
    enrolled_at: datetime | None = None
    completed_at: datetime | None = None
    score: int | None = None


def nullable(kind: type[Record]) -> frozenset[str]:
    """The fields that Kombo may leave empty."""
    return frozenset(field.name for field in msgspec.structs.fields(kind) if not field.required)
