"""An integration that was made anew: the same people and courses of the same LMS, under other Kombo ids."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.simulator.integration import Integration
from bridge.simulator.records import kombo_id

_REFERENCES = ("user_id", "course_id", "course_revision_id", "provider_id")


def copied(old: Integration, new: Integration) -> Integration:
    """Put into `new` what the LMS behind `old` holds, but for a crowd."""
    for name, table in old.tables.items():
        for record in table.lms.own.values():
            changes: dict[str, Any] = {"id": _anew(record.id, new)}
            changes |= {key: _anew(getattr(record, key), new) for key in _REFERENCES if getattr(record, key, None)}
            if name == "revisions" and record.skills:
                changes["skills"] = tuple(_anew(id, new) for id in record.skills)
            new.put(msgspec.structs.replace(record, **changes))
    return new


def _anew(id: str, integration: Integration) -> str:
    return kombo_id(id, integration.id)
