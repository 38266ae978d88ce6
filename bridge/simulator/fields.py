"""What a customer's LMS says beyond the models: integration fields, and the custom fields that are mapped to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bridge.simulator.records import Record


@dataclass
class IntegrationField:
    """A field of the LMS. Its values, which are in `Record.extra` by key, show only where passing through is on."""

    id: str
    key: str
    model: str
    type: Literal["DEFAULT", "CUSTOM"] = "DEFAULT"
    label: str | None = None
    is_passthrough_enabled: bool = False

    @property
    def brief(self) -> dict[str, Any]:
        return {"id": self.id, "key": self.key, "type": self.type, "label": self.label}

    @property
    def full(self) -> dict[str, Any]:
        return {
            **self.brief,
            "model": self.model,
            "is_passthrough_enabled": self.is_passthrough_enabled,
            "is_writable": False,
        }


@dataclass
class CustomField:
    """A field of the provider's own, which shows the value of the integration field that it is mapped to."""

    id: str
    key: str
    model: str
    label: str | None = None
    description: str | None = None
    integration_field: IntegrationField | None = None

    @property
    def full(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "key": self.key,
            "integration_field": self.integration_field and self.integration_field.brief,
            "model": self.model,
            "label": self.label,
            "description": self.description,
        }


def values(
    model: str, record: Record, fields: Iterable[IntegrationField], custom: Iterable[CustomField]
) -> dict[str, Any]:
    """The two keys of a row, for a record of a model such as `lms_users`."""
    extra = record.extra or {}
    passed = [field for field in fields if field.model == model and field.is_passthrough_enabled]
    mapped = {
        field.key: extra.get(field.integration_field.key) if field.integration_field else None
        for field in custom
        if field.model == model
    }
    return {
        "custom_fields": mapped or None,
        "integration_fields": [{**field.brief, "value": extra.get(field.key)} for field in passed],
    }
