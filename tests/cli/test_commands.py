"""Each sub-command comes with the modules that its name stands for, and with no others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer import Typer

from bridge.cli import app
from bridge.cli.commands import MODULES, register


def modules(group: Typer) -> Iterator[str]:
    """Where the commands of a group, and of the groups in it, are written."""
    yield from (each.callback.__module__ for each in group.registered_commands if each.callback)
    for inner in group.registered_groups:
        assert inner.typer_instance
        yield from modules(inner.typer_instance)


def test_a_name_stands_for_the_modules_of_its_commands() -> None:
    register()
    found = {
        str(each.callback.__name__): {each.callback.__module__} for each in app.registered_commands if each.callback
    }
    found |= {
        str(each.name): set(modules(each.typer_instance)) for each in app.registered_groups if each.typer_instance
    }
    assert found == {name: {f"bridge.cli.{each}" for each in listed} for name, listed in MODULES.items()}


@pytest.mark.parametrize("name", ["check", "keys", "launches"])
def test_a_command_does_not_wait_for_the_service(name: str) -> None:
    script = f"""
import sys
from bridge.cli.commands import register
register(["{name}"])
assert "bridge.app" not in sys.modules
register()
assert "bridge.app" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
