"""The README leads to every document, and to none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINKED = {
    target.partition("#")[0]
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    if not target.startswith(("https://", "#"))
}


def test_every_document_is_in_the_readme() -> None:
    documents = [*(ROOT / "docs").glob("*.md"), ROOT / "docs" / "alerts.yaml"]
    assert {str(path.relative_to(ROOT)) for path in documents} <= LINKED


def test_what_the_readme_links_to_is_there() -> None:
    assert {target for target in LINKED if not (ROOT / target).exists()} == set()
