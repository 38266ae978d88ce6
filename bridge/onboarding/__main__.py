"""`python -m bridge.onboarding`: writes the README of each folder of `config/idps` from the facts, in the checkout."""

from __future__ import annotations

from pathlib import Path

from bridge.onboarding.markdown import readme

for folder in Path("config/idps").iterdir():
    if folder.is_dir():
        (folder / "README.md").write_text(readme(folder.name), "utf-8")
