"""Deep links, tried under the routes that will judge them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.courses.catalogue import Entry
from bridge.courses.links import LinkError, Links
from bridge.front import queries
from bridge.front.paths import PathDecider
from bridge.front.routes import RouteTable
from bridge.settings.model import Configuration
from tests.support.deployment import Deployment

FILE = yaml.safe_load((Path(__file__).parent / "links.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path, public_url="https://learn.example.com", service=dict(FILE["defaults"]))


def entry(**fields: str) -> Entry:
    lengthened = {
        name: re.sub(r"\$\{(\d+)\}", lambda found: "x" * int(found[1]), text) for name, text in fields.items()
    }
    return Entry(**{"origin_id": "a", "title": "A", **lengthened})


def links(deployment: Deployment) -> tuple[Configuration, Links]:
    configuration = deployment.load()
    return configuration, Links(configuration, configuration.tenants["acme"])


@pytest.mark.parametrize("case", FILE["cases"], ids=lambda case: case["name"])
def test_a_link_leads_to_exactly_its_course_or_says_why_not(deployment: Deployment, case: dict[str, Any]) -> None:
    deployment.service |= case.get("service", {})
    deployment.tenants["acme"] |= case.get("tenant", {})
    configuration, made = links(deployment)
    course = entry(**case.get("entry", {}))
    if "problem" in case:
        with pytest.raises(LinkError) as caught:
            made.course(course)
        assert str(caught.value).startswith(case["problem"])
        assert caught.value.field == case["field"]
        return
    link = made.course(course)
    assert link == case["link"]
    path, _, query = link.partition("#")[0].removeprefix("https://").partition("/")[2].partition("?")
    service = configuration.service
    match = PathDecider(RouteTable(service.routes, service.completions)).decide_path(f"/{path}".encode())
    assert queries.course(match, b"GET", query.encode()) in (course.origin_id, None)


@pytest.mark.parametrize("case", FILE["thumbnails"], ids=lambda case: case["thumbnail"])
def test_a_thumbnail_needs_no_login(deployment: Deployment, case: dict[str, str]) -> None:
    _, made = links(deployment)
    if "problem" in case:
        with pytest.raises(LinkError, match="^" + re.escape(case["problem"])):
            made.thumbnail(entry(thumbnail=case["thumbnail"]))
    else:
        assert made.thumbnail(entry(thumbnail=case["thumbnail"])) == case["link"]


def test_no_thumbnail_is_none(deployment: Deployment) -> None:
    assert links(deployment)[1].thumbnail(entry()) is None
