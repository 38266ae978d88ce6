"""What a tool can be read of and asked to do, for the integration's own page and the list of tools."""

from __future__ import annotations

from typing import Any

from bridge.simulator.integration import WEBHOOK_NAMES, Integration
from bridge.simulator.records import nullable

UPSERT, DEACTIVATE = "lms_upsert_courses", "lms_deactivate_course"
ENROLL, COMPLETE = "lms_create_course_progression", "lms_complete_course_progression"
ACTIONS = {
    UPSERT: "Upsert courses",
    DEACTIVATE: "Deactivate course",
    ENROLL: "Create course progression",
    COMPLETE: "Complete course progression",
}
"""Kombo does not publish the LMS names of its actions; these are made like those of its other categories."""

TOOLS = {
    "successfactors": "SuccessFactors",
    "cornerstoneondemand": "Cornerstone OnDemand",
    "workday": "Workday",
    "360learning": "360Learning",
    "talentlms": "TalentLMS",
    "moodle": "Moodle",
    "docebo": "Docebo",
    "coursera": "Coursera",
    "linkedinlearning": "LinkedIn Learning",
    "udemy": "Udemy",
    "sandbox": "Sandbox",
}
WITHOUT = {"cornerstoneondemand": frozenset({DEACTIVATE})}
"""Kombo does not offer to deactivate courses of Cornerstone."""

_LABELS = {
    "users": "Users",
    "skills": "Skills",
    "courses": "Courses",
    "revisions": "Course revisions",
    "progressions": "Course progressions",
}


def assets(tool: str) -> dict[str, str]:
    return {name: f"https://storage.example.com/{tool}/{name}.svg" for name in ("logo_url", "icon_url")}


def read_models(integration: Integration) -> list[dict[str, Any]]:
    models = []
    for name, label in _LABELS.items():
        table = integration.tables[name]
        enabled, without = table.scope.enabled, table.scope.without
        fields = [
            {"id": field, **_readable(enabled and field not in without)} for field in sorted(nullable(table.kind))
        ]
        models.append({"id": WEBHOOK_NAMES[name], "label": label, **_readable(enabled), "fields": fields})
    return models


def write_actions(integration: Integration) -> list[dict[str, Any]]:
    without = WITHOUT.get(integration.tool, frozenset())
    return [
        {
            "id": id,
            "label": label,
            "is_available": id not in without and id not in integration.disabled_actions,
            "coverage_status": _coverage(id not in without),
            "scope_config_setting": "DISABLED" if id in integration.disabled_actions else "ENABLED",
            "opted_out_by_customer": False,
            "fields": [],
        }
        for id, label in ACTIONS.items()
    ]


def tool(id: str) -> dict[str, Any]:
    """One of `GET /tools/lms`."""
    without = WITHOUT.get(id, frozenset())
    covered = {"coverage_status": _coverage(True), "fields": list[Any]()}
    return {
        "id": id,
        "label": TOOLS[id],
        "internal_label": None,
        "assets": {**assets(id), "icon_black_url": f"https://storage.example.com/{id}/icon_black.svg"},
        "paid_api_details_markdown": None,
        "fast_track_details_markdown": None,
        "partner_only_details_markdown": None,
        "connection_guide_url": None,
        "coverage": {
            "read_models": [{"id": WEBHOOK_NAMES[name], "label": label, **covered} for name, label in _LABELS.items()],
            "write_actions": [
                {"id": action, "label": label, **covered, "coverage_status": _coverage(action not in without)}
                for action, label in ACTIONS.items()
            ],
            "features": [],
        },
    }


def _coverage(supported: bool) -> str:
    return "SUPPORTED" if supported else "UNSUPPORTED"


def _readable(enabled: bool) -> dict[str, Any]:
    return {
        "is_available": enabled,
        "coverage_status": _coverage(True),
        "scope_config_setting": "ENABLED" if enabled else "DISABLED",
        "opted_out_by_customer": False,
    }
