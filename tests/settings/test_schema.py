"""The JSON Schemas: sound in themselves, and never stricter than the loader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.settings.schema import DIALECT, File, schema
from tests.support.json_schema import errors, read

from .conftest import SERVICE, TENANT, Folder, completed

HERE = Path(__file__).parent
CONFIG = HERE.parents[1] / "config"
REQUIRED = {File.SERVICE: SERVICE, File.TENANT: TENANT}
SEEN_BY_NOBODY = yaml.safe_load((HERE / "schema_cannot_say.yaml").read_text(encoding="utf-8"))
GOOD = yaml.safe_load((HERE / "schema_takes.yaml").read_text(encoding="utf-8"))
SHIPPED = [
    (File.SERVICE, CONFIG / "bridge.yaml"),
    *((File.TENANT, path) for path in sorted([*CONFIG.glob("tenants/*.yaml"), *CONFIG.glob("idps/*/tenant.yaml")])),
]
ENVIRON = {"ANY": "assigned", "SECRET": "0123456789abcdef0123456789abcdef", "HOURS": "12"}


def parts(within: Any) -> Iterator[dict[str, Any]]:
    """Every schema in a schema."""
    if isinstance(within, dict):
        yield within
    for each in within.values() if isinstance(within, dict) else within if isinstance(within, list) else ():
        yield from parts(each)


@pytest.fixture(params=list(File), ids=str)
def one(request: pytest.FixtureRequest) -> dict[str, Any]:
    return schema(request.param)


def test_it_is_sound(one: dict[str, Any]) -> None:
    assert one["$schema"] == DIALECT
    assert errors(one, {}), "what is required is missing"
    for part in parts(one):
        if isinstance(part.get("pattern"), str):
            re.compile(part["pattern"])
        if isinstance(part.get("properties"), dict) and "type" in part:
            assert part["additionalProperties"] is False
            assert set(part.get("required", ())) <= part["properties"].keys()


def test_every_setting_is_described_and_its_examples_and_default_fit(one: dict[str, Any]) -> None:
    blocks = [one, *one["$defs"].values()]
    for block in blocks:
        assert block["description"]
        for name, setting in block["properties"].items():
            assert setting.get("description"), name
            for value in [*setting.get("examples", ()), *([setting["default"]] if "default" in setting else [])]:
                assert errors({**setting, "$defs": one["$defs"]}, value) == [], name


@pytest.mark.parametrize(("file", "path"), [pytest.param(*each, id=str(each[1].parent.name)) for each in SHIPPED])
def test_what_is_shipped_passes(file: File, path: Path) -> None:
    assert errors(schema(file), read(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("text", GOOD["service"])
def test_what_the_loader_takes_the_schema_takes_of_the_service(folder: Folder, text: str) -> None:
    folder.environ |= ENVIRON
    folder.service(text)
    assert folder.problems() == []
    assert errors(schema(File.SERVICE), read(folder.bridge.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("text", GOOD["tenant"])
def test_what_the_loader_takes_the_schema_takes_of_a_tenant(folder: Folder, text: str) -> None:
    folder.environ |= ENVIRON
    path = folder.tenant("acme", text)
    assert folder.problems() == []
    assert errors(schema(File.TENANT), read(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", list(File))
def test_an_editor_sees_what_can_be_seen(file: File) -> None:
    """Of the files that the loader refuses, all but those that are listed as beyond a schema."""
    unseen = set()
    for path in sorted((HERE / "bad" / file).glob("*.yaml")):
        try:
            value = read(completed(path.read_text(encoding="utf-8"), REQUIRED[file]))
        except yaml.YAMLError:
            continue
        if not errors(schema(file), value):
            unseen.add(path.stem)
    assert sorted(unseen) == sorted(SEEN_BY_NOBODY[file])


@pytest.mark.parametrize(
    ("path", "schema"), [("bridge.yaml", "schema/service.json"), ("tenants/acme.yaml", "../schema/tenant.json")]
)
def test_the_first_line_of_a_file_leads_to_its_schema(path: str, schema: str) -> None:
    file = CONFIG / path
    assert file.read_text(encoding="utf-8").splitlines()[0] == f"# yaml-language-server: $schema={schema}"
    assert (file.parent / schema).is_file()
