"""Kombo's webhooks: which secret signed one, and what it says. Neither HTTP nor the store is known here.

The signature is over the raw bytes, so they are verified as they came and never written anew. What they say is read
tolerantly (Kombo adds types, models and states without notice): a value that is not what it should be counts as not
said. There is no time in the envelope, so only a webhook's `id` tells one from its repetition.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from bridge.kombo.answers import whole_characters
from bridge.kombo.model import MAX_ID, Time

LMS = "LMS"
"""The category of integration that is a tenant's; a customer may have connected its HR system as well."""

_ID = re.compile(r"[!-~]{1,255}")
_WORD = re.compile(r"[!-~]{1,64}")
_MODELS = 1000
"""More than Kombo has, of all categories together."""


@dataclass(frozen=True, slots=True)
class DataChanged:
    """`data-changed`: rows of these models (`lms_users`) have changed. None: of which, it does not say."""

    models: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class SyncFinished:
    """`sync-finished`: Kombo has read the LMS, or tried to; `state` is an open string such as `SUCCEEDED`."""

    state: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StateChanged:
    """`integration-state-changed`, with open strings as of `GET /integrations/{id}`."""

    status: str | None = None
    setup_status: str | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """`integration-created`, for the customer with this `origin_id` and name."""

    category: str | None = None
    customer: str | None = None
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """`integration-deleted`."""


Event = DataChanged | SyncFinished | StateChanged | Created | Deleted


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook. `event` is None for a type of which the bridge makes nothing; every word in it is printable ASCII,
    but for the two of `Created` that name a customer.
    """

    id: str
    type: str
    integration_id: str | None = None
    event: Event | None = None


class UnreadableWebhook(ValueError):
    """A body that is no webhook of Kombo's; the message says why and repeats nothing of it."""


def signature(secret: str, body: bytes) -> bytes:
    """The value of `X-Kombo-Signature`: HMAC-SHA256 of the raw body in base64url without padding."""
    return base64.urlsafe_b64encode(hmac.digest(secret.encode(), body, "sha256")).rstrip(b"=")


def signer(claimed: bytes, body: bytes, secrets: Collection[str]) -> str | None:
    """The secret that made this signature. All are tried, in a time that says nothing about which one came close."""
    found = None
    for secret in secrets:
        if hmac.compare_digest(signature(secret, body), claimed):
            found = secret
    return found


def read(body: bytes) -> Webhook:
    """What a verified body says. Raises `UnreadableWebhook` where it is no envelope of Kombo's.

    Those about an integration's life have its id as `id`, the others as `integration_id` (Kombo's SDK, 1.4).
    """
    try:
        envelope = msgspec.json.decode(whole_characters(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableWebhook(f"no JSON: {type(error).__name__}") from error
    said = _object(envelope)
    id, type_ = _matching(_ID, said.get("id")), _matching(_WORD, said.get("type"))
    if id is None or type_ is None:
        raise UnreadableWebhook("an envelope without a usable id and type")
    data = _object(said.get("data"))
    integration = _matching(_ID, data.get("integration_id")) or _matching(_ID, data.get("id"))
    return Webhook(id, type_, integration, _event(type_, data))


def _event(type_: str, data: Mapping[str, Any]) -> Event | None:
    match type_:
        case "data-changed":
            return DataChanged(_models(data.get("changed_models")))
        case "sync-finished":
            return SyncFinished(_matching(_WORD, data.get("sync_state")), _time(data.get("sync_started_at")))
        case "integration-state-changed":
            state, setup = (_matching(_WORD, data.get(name)) for name in ("state", "setup_status"))
            return StateChanged(state, setup, _time(data.get("updated_at")))
        case "integration-created":
            end_user = _object(data.get("end_user"))
            names = (_name(end_user.get("origin_id")), _name(end_user.get("organization_name")))
            return Created(_matching(_WORD, data.get("category") or data.get("integration_category")), *names)
        case "integration-deleted":
            return Deleted()
    return None


def _models(value: object) -> frozenset[str] | None:
    """None where any part of the list is not as it should be: then it may mean more than could be read."""
    if not isinstance(value, list) or len(value) > _MODELS:
        return None
    names = [_matching(_WORD, _object(model).get("name")) for model in value]
    known = frozenset(name for name in names if name is not None)
    return known if len(names) == sum(name is not None for name in names) else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _name(value: object) -> str | None:
    """A customer's id or name, which is only compared and shown."""
    return value if isinstance(value, str) and value.strip() and len(value) <= MAX_ID else None


def _time(value: object) -> datetime | None:
    try:
        return msgspec.convert(value, Time)
    except msgspec.ValidationError:
        return None
