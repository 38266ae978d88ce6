"""Lock files hold names, versions and hashes: where the files come from is for each machine to say."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_NODE = ("real/servers/samlp", "real/servers/axe", "verify/node")
LOCKS = [
    *sorted((ROOT / "requirements").glob("*.txt")),
    *(ROOT / "tests" / folder / "package-lock.json" for folder in OF_NODE),
]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lock_has_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text()
    assert "sha256:" in text or "sha512-" in text
    assert "://" not in text
