"""Deque's axe-core, which finds barriers in a page, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.support.needs import need

SCRIPT = Path(__file__).parent / "servers" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES = {"runOnly": {"type": "tag", "values": TAGS}}
RUN = "rules => axe.run(document, {...rules, resultTypes: ['violations', 'incomplete']})"


def axe_script() -> str:
    need(SCRIPT.is_file(), "npm's axe-core (npm ci --prefix tests/real/servers/axe)")
    return SCRIPT.read_text("utf-8")


async def barriers(page: Page, rules: dict[str, Any] = RULES) -> list[str]:
    """What axe finds in a page into which its script was loaded: the rule, and where; also what it could not decide."""
    found = await page.evaluate(RUN, rules)
    return [
        f"{kind} {result['id']}: {node['html'][:200]} {node['failureSummary']}"
        for kind in ("violations", "incomplete")
        for result in found[kind]
        for node in result["nodes"]
    ]
