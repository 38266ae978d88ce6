"""docs/settings.md and config/schema are what the types of the settings say, and every setting says what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from bridge.settings.reference import ROOT, Setting, generated, settings
from bridge.settings.schema import File

EVERY = [setting for file in File for setting in settings(file)]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_what_is_committed_is_what_the_types_say(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generated()[path], "run `make reference`"


@pytest.mark.parametrize("setting", EVERY, ids=lambda setting: setting.anchor)
def test_every_setting_says_what_it_is(setting: Setting) -> None:
    assert re.fullmatch(r"[A-Z`].*[.\"]", setting.description)
    assert setting.kind
    assert PAGE.count(f'<a id="{setting.anchor}"></a>') == 1
    assert setting.block or setting.example
    if setting.example:
        [(name, value)] = yaml.safe_load(setting.example).items()
        assert name == setting.name
        assert value is not None


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(#([^)]+)\)", PAGE):
        assert f'<a id="{target}"></a>' in PAGE
    for target in re.findall(r"\]\((\.\.[^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists()
    assert "](docs/settings.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_what_needs_a_restart_is_what_the_reload_leaves() -> None:
    at_once = {each.path for each in EVERY if each.file is File.SERVICE and not each.restart and "." not in each.path}
    assert {"routes", "completions"} <= at_once
    assert not any(each.restart for each in EVERY if each.file is File.TENANT)
    assert next(each for each in EVERY if each.path == "kombo.sync_every" and each.file is File.SERVICE).restart
