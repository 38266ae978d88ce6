"""The example in `config/` names every setting that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from bridge.settings.model import Service
from bridge.settings.tenant import TenantFile

CONFIG = Path(__file__).parents[2] / "config"
SAID_IN_A_WORD = {"webhook_secret", "sync_every", "full_sync_every", "stale_for", "miss_window", "api_url", "api_key"}
"""What a tenant may override: its file says so of all of them together."""


def names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        for inner in models(field.annotation):
            yield from names(inner)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models(argument)


@pytest.mark.parametrize(("model", "file"), [(Service, "bridge.yaml"), (TenantFile, "tenants/acme.yaml")])
def test_every_setting_stands_in_the_example(model: type[BaseModel], file: str) -> None:
    text = (CONFIG / file).read_text()
    words = set(re.findall(r"[a-z_0-9]+", text))
    assert set(names(model)) - words - (SAID_IN_A_WORD if model is TenantFile else set()) == set()
