"""docs/saml.md names every check that a refusal can carry, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import bridge.saml.rules

ROOT = Path(__file__).parents[2]
ROOMS = ("saml", "front", "session")
RAISERS = {"rejected": 0, "malformed": 0, "DocumentError": 0, "SamlRefusal": 1}
CONSTANTS = {"UNSOLICITED": bridge.saml.rules.UNSOLICITED}


def in_code() -> set[str]:
    """The checks' names as the code passes them; a name that is passed on is found where it was written."""
    found: set[str] = set()
    for path in (path for room in ROOMS for path in (ROOT / "bridge" / room).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", None) not in RAISERS:
                continue
            name = node.args[RAISERS[node.func.id]] if len(node.args) > RAISERS[node.func.id] else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                found.add(name.value)
            elif isinstance(name, ast.Name) and name.id in CONSTANTS:
                found.add(CONSTANTS[name.id])
    return found


def in_docs() -> set[str]:
    """What stands in the second column of the tables of steps, and before them as what can come at any step."""
    text = (ROOT / "docs/saml.md").read_text()
    cells = [row.split("|")[2] for row in text.splitlines() if re.match(r"\| \d+ \|", row)]
    anywhere = text.partition("can come at any step:")[2].partition("\n\n")[0]
    return set(re.findall(r"`([a-z0-9_]+)`", " ".join([*cells, anywhere])))


def test_every_check_is_documented() -> None:
    assert in_code() - in_docs() == set()


def test_no_check_is_only_documented() -> None:
    passed_on = {"canonicalization", "transforms", "signature_algorithm", "digest_algorithm"}
    assert in_docs() - in_code() <= passed_on
