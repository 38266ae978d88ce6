"""How many files the service may open, and what happens when there are no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bridge.proxy.descriptors import needed
from bridge.proxy.limits import Limits

ROOT = Path(__file__).parents[2]
RAISE = """
import resource, sys
from bridge import logs
from bridge.proxy.descriptors import raise_limit
from bridge.proxy.limits import Limits
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
logs.configure()
print(raise_limit(Limits(connections=connections, upstream_connections=connections)))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def raised(soft: int, hard: int, connections: int) -> tuple[list[dict[str, object]], list[str]]:
    """What is logged, and the limit as returned and as it is."""
    command = [sys.executable, "-c", RAISE, *map(str, (soft, hard, connections))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = (done.stdout + done.stderr).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")], [line for line in lines if line.isdigit()]


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    assert raised(64, 1024, 100) == ([], ["1024", "1024"])


def test_too_low_a_hard_limit_is_said() -> None:
    [logged], limits = raised(64, 1024, 20_000)
    assert limits == ["1024", "1024"]
    assert logged["event"] == "descriptors_limited"
    assert (logged["level"], logged["allowed"], logged["needed"]) == ("warning", 1024, 40_256)


def test_what_is_needed() -> None:
    assert needed(Limits(connections=1000, upstream_connections=10)) == 1266
