"""What docs/onboarding.md lists is what there is."""

from __future__ import annotations

import re

import typer.main

from bridge.cli.tenant import tenant
from bridge.onboarding.facts import names
from tests.support.shapes import ROOT

DOCUMENT = (ROOT / "docs" / "onboarding.md").read_text("utf-8")


def test_every_idp_and_lms_is_listed() -> None:
    listed = dict(re.findall(r"^\| `--(idp|lms)` \| ([^.;]+)", DOCUMENT, re.MULTILINE))
    assert set(re.findall("`([a-z]+)`", listed["idp"])) == set(names("idps"))
    assert set(re.findall("`([a-z]+)`", listed["lms"])) == set(names("lms"))


def test_every_option_is_listed() -> None:
    new = typer.main.get_group(tenant).commands["new"]
    options = {name for parameter in new.params for name in parameter.opts if name.startswith("--")}
    assert {name for name in options if f"`{name}" not in DOCUMENT and f"{name} " not in DOCUMENT} == {"--config"}
