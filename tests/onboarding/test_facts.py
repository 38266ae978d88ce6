"""The facts: complete, in words that can be filled in, and the same wherever they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.onboarding.facts import OTHER, idp_of, idps, lms_of, lmss
from bridge.onboarding.markdown import readme
from bridge.onboarding.tenant_file import Choices
from bridge.saml.metadata import read_idp_metadata
from bridge.settings.load import load
from bridge.simulator import seed
from tests.support.deployment import Deployment
from tests.support.shapes import IDPS, ROOT

FOLDERS = sorted(path.name for path in IDPS.iterdir() if path.is_dir())


@pytest.mark.parametrize("name", idps())
def test_each_idp_can_be_told_every_way_to_send_an_identifier(name: str) -> None:
    idp = idps()[name]
    assert {"name_id", "attribute", "email_attribute", "email_name_id"} <= {step.when for step in idp.steps}
    assert OTHER in idp.sources
    assert set(idp.sources) <= set(lmss())
    entered = {entry.value for step in idp.steps for entry in step.enter}
    written = readme(name)
    assert "{acs}" in entered or "/_bridge/saml/SLUG/acs`" in written
    assert "{entity_id}" in entered or "/_bridge/saml/SLUG/metadata`" in written
    assert any("metadata" in step.title for step in idp.steps), "nobody would send us theirs"


@pytest.mark.parametrize("name", idps())
def test_no_mark_or_place_is_left_open(name: str) -> None:
    """Whatever is left of a mark is a mark that was never closed; an unknown place would have raised."""
    prose = re.sub(r"```.*?```", "", readme(name), flags=re.DOTALL)
    prose = re.sub(r"\*\*[^*]+\*\*|\*[^*]+\*|`[^`]+`", "", prose.replace("\n", " "))
    assert not re.search(r"[*`]|\{[a-z_]+\}", prose)


@pytest.mark.parametrize("name", FOLDERS)
def test_its_readme_is_written_from_the_facts(name: str) -> None:
    """Otherwise run `python -m bridge.onboarding`."""
    assert (IDPS / name / "README.md").read_text("utf-8") == readme(name)


@pytest.mark.parametrize("name", FOLDERS)
def test_its_metadata_is_recognised(name: str) -> None:
    entity_id = read_idp_metadata((IDPS / name / "metadata.xml").read_bytes()).provider.entity_id
    assert idp_of(entity_id) == name


@pytest.mark.parametrize("name", FOLDERS)
def test_its_tenant_file_and_a_new_one_ask_the_same_of_the_idp(tmp_path: Path, name: str) -> None:
    service = {"tenants": str(IDPS / name), "public_url": "https://learn.example.com"}
    deployment = Deployment(tmp_path, service=service)
    deployment.tenants.clear()
    tenant = load(deployment.write(), {}).tenants["tenant"]
    new = Choices("acme", name, lms_of(tenant.integration_id), "acme-idp.xml").values
    assert new["saml"]["signed"] == tenant.saml.signed
    assert new["saml"]["idp_initiated"] == str(tenant.saml.idp_initiated).lower()
    first = tenant.identity[0]
    assert new["identity"] == ["name_id" if first.tier == "name_id" else {first.tier: first.source}]


def test_the_index_says_the_same_of_each_lms() -> None:
    index = (IDPS / "README.md").read_text("utf-8")
    rows = [line for line in index.splitlines() if line.startswith("| ")]
    for name, lms in lmss().items():
        label = lms.name if name != OTHER else "another LMS"
        assert any(row.startswith(f"| {label} | {lms.remote_id} | {lms.beware}") for row in rows), name


def test_the_index_names_each_idp() -> None:
    index = (IDPS / "README.md").read_text("utf-8")
    known = [name for name in idps() if name != OTHER]
    assert [name for name in known if name not in FOLDERS and idps()[name].name.removesuffix(" IdP") not in index] == []


@pytest.mark.parametrize(
    ("integration", "lms"),
    [(seed.ACME, "workday"), (seed.GLOBEX, "successfactors"), (seed.INITECH, "cornerstone"), (seed.VANDELAY, OTHER)],
)
def test_an_integration_names_its_lms(integration: str, lms: str) -> None:
    assert lms_of(integration) == lms


def test_the_guides_reasons_are_told() -> None:
    """What Kombo's guide warns of, per LMS."""
    said = {name: " ".join(remark.text for remark in lms.why) for name, lms in lmss().items()}
    assert "WID" in said["workday"] and "Employee ID" in said["workday"]
    assert "studentID" in said["successfactors"] and "Employee Central" in said["successfactors"]
    assert "internal user id" in said["cornerstone"]


def test_the_facts_go_into_the_package() -> None:
    assert 'packages = ["bridge"]' in (ROOT / "pyproject.toml").read_text()
