"""Puts the snippets into docs/platform.md, each behind its marker; the tests find out where that was forgotten.

python docs/verify/include.py
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "platform.md"
FENCES = {".py": "python", ".mjs": "js", ".java": "java", ".go": "go", ".php": "php", ".rb": "ruby"}
MARKER = re.compile(r"<!-- (docs/verify/\S+) -->\n+(?:```.*?\n```\n)?", re.S)


def included(page: str) -> str:
    """The page with each snippet as it is now."""

    def block(found: re.Match[str]) -> str:
        path = DOCS.parent / found[1]
        return f"<!-- {found[1]} -->\n```{FENCES[path.suffix]}\n{path.read_text(encoding='utf-8')}```\n"

    return MARKER.sub(block, page)


if __name__ == "__main__":
    PAGE.write_text(included(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
