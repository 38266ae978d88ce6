"""A tenant's look, all the way from its files to a refusal page of a running bridge, and as the files change."""

from __future__ import annotations

from pathlib import Path

import yaml

from bridge.simulator import seed
from tests.launch.test_service import events, rewrite, until
from tests.support.stage import stage as open_stage

LINK = "/courses/cybersecurity-101"
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>'


async def test_a_refusal_looks_as_its_tenant_says_and_follows_its_files(tmp_path: Path) -> None:
    brand = tmp_path / "tenants" / "brand"
    async with (
        open_stage(tmp_path, pages={"name": "Learning Hub", "accent": "#0b3d91"}) as stage,
        stage.browser(**{"Accept-Language": "pt-BR,en;q=0.5"}) as browser,
        stage.browser() as other,
    ):
        await browser.launch("acme", seed.HUGO, "/my")
        refused = await browser.get(LINK)
        assert refused.headers["content-language"] == "pt"
        assert "Este curso ainda não está disponível" in refused.text
        assert "--fill: #0b3d91" in refused.text

        brand.mkdir()
        (brand / "logo.svg").write_text(LOGO)
        (brand / "style.css").write_text(".card { border: 0 }")
        rewrite(stage, "acme", pages={"name": "Acme Academy", "logo": "brand/logo.svg", "templates": "brand"})
        await until(lambda: events(stage, "settings_applied"))
        refused = await browser.get(LINK)
        for part in ("Acme Academy", "data:image/svg+xml;base64,", "--fill: #0b3d91", ".card { border: 0 }</style>"):
            assert part in refused.text
        assert "img-src data:" in refused.headers["content-security-policy"]
        unknown = await other.get(f"{LINK}?tenant=nobody")
        assert "Learning Hub" in unknown.text
        assert "Acme Academy" not in unknown.text

        service = tmp_path / "bridge.yaml"
        written = yaml.safe_load(service.read_text())
        service.write_text(yaml.safe_dump(written | {"pages": {"accent": "#aa0000"}}))
        await until(lambda: len(events(stage, "settings_applied")) > 1)
        assert "--fill: #aa0000" in (await browser.get(LINK)).text
        assert events(stage, "settings_restart_needed") == []
