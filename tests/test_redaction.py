"""What is shown of a value that names a person."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bridge.redaction import redacted

VALUES = yaml.safe_load(Path(__file__).with_name("redacted.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("value", "shown"), [(each["value"], each["shown"]) for each in VALUES])
def test_a_value_is_told_from_another_and_not_read(value: str, shown: str) -> None:
    assert redacted(value) == shown
