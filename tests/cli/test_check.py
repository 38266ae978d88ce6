"""`kombo-bridge check`, as a user runs it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from bridge.cli.check import summary
from bridge.store import clocks, keys
from bridge.store.clocks import Clock
from bridge.store.engine import Store
from bridge.store.keys import Kind, MadeKey
from bridge.store.sealing import Seal
from tests.support.certificates import certificate
from tests.support.deployment import Deployment

CONFIG = Path(__file__).parents[2] / "config"
ENVIRON = {
    "BRIDGE_SECRET": "a-secret-of-thirty-two-bytes-or-more",
    "KOMBO_API_KEY": "the-api-key",
    "KOMBO_WEBHOOK_SECRET": "the-webhook-secret",
}


def run(*arguments: str, cwd: Path, environ: dict[str, str] = ENVIRON) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bridge", "check", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={"LANG": "C.UTF-8", **environ}, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(CONFIG, tmp_path / "config", ignore=shutil.ignore_patterns("var"))
    return tmp_path


def test_the_shipped_example_passes_with_its_three_variables(copy: Path) -> None:
    result = run("--config", "config/bridge.yaml", cwd=copy)
    assert (result.returncode, result.stderr) == (0, "")
    first, *notes = result.stdout.splitlines()
    assert first == (
        "acme: Acme Corporation; IdP https://idp.acme.com/saml2; identity by attribute lms_user_id, then email (mail);"
        " gate assigned; IdP certificate until 2046-01-01"
    )
    assert all(note.startswith("note: ") for note in notes)
    assert [path.name for path in (copy / "config").iterdir() if path.name == "var"] == []
    assert not any(value in result.stdout for value in ENVIRON.values())


def test_every_problem_is_a_line_with_file_and_line(copy: Path) -> None:
    tenants = copy / "config" / "tenants"
    (tenants / "beta.yaml").write_text("name: Beta\ngate: open\n")
    (tenants / "Gamma.yaml").write_text("")
    result = run(cwd=copy)
    assert result.returncode == 1
    assert result.stdout.startswith("acme: ")
    heads = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert heads == ["config/tenants/Gamma.yaml:1", *["config/tenants/beta.yaml:1"] * 3, "config/tenants/beta.yaml:2"]


def test_a_missing_variable_is_a_problem_and_no_traceback(copy: Path) -> None:
    result = run(cwd=copy, environ=ENVIRON | {"BRIDGE_SECRET": "short-secret"})
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "config/bridge.yaml:16: `secrets[1]`: write 32 bytes or more, such as the output of `openssl rand -base64 48`"
    ]
    result = run(cwd=copy, environ={})
    assert result.returncode == 1
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "config/bridge.yaml:16",
        "config/bridge.yaml:26",
        "config/bridge.yaml:27",
    ]
    assert result.stdout == ""


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = run("--config", "none.yaml", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == "none.yaml:1: there is no file none.yaml: put it there, or name another\n"


def test_no_tenants_is_noted(copy: Path) -> None:
    (copy / "config" / "tenants" / "acme.yaml").unlink()
    result = run(cwd=copy)
    assert result.returncode == 0
    assert "there is no tenant file in config/tenants" in result.stdout


@pytest.mark.parametrize(("kind", "required"), [("service", "public_url"), ("tenant", "identity")])
def test_the_json_schemas(tmp_path: Path, kind: str, required: str) -> None:
    result = run("--schema", kind, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    schema = json.loads(result.stdout)
    assert required in schema["required"]
    assert all("description" in field or "$ref" in field for field in schema["properties"].values())


def test_wrong_usage(tmp_path: Path) -> None:
    assert run("--schema", "nothing", cwd=tmp_path).returncode == 2


def test_sha_1_is_explained(copy: Path) -> None:
    path = copy / "config" / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("accept_sha1: false", "accept_sha1: true"))
    result = run(cwd=copy)
    assert result.returncode == 0
    assert "note: tenant acme: `saml.accept_sha1`: signatures with SHA-1 are accepted; " in result.stdout


def test_an_integration_id_that_looks_like_none_is_noted(copy: Path) -> None:
    path = copy / "config" / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("workday:HWUT", "HWUT"))
    result = run(cwd=copy)
    assert result.returncode == 0
    assert (
        "note: tenant acme: `kombo.integration_id` is HWUTwvyx2wLoSUHphiWVrp28, without the LMS's name" in result.stdout
    )


def test_an_idps_certificate_that_ends_is_a_note_and_no_finding(copy: Path) -> None:
    metadata = copy / "config" / "tenants" / "acme-idp.xml"
    pem = certificate(datetime.now(UTC) + timedelta(days=5, hours=1))
    body = "".join(pem.splitlines()[1:-1])
    text = re.sub(r"(?s)(<ds:X509Certificate>).*?(</ds:X509Certificate>)", rf"\g<1>{body}\g<2>", metadata.read_text())
    metadata.write_text(text)
    result = run(cwd=copy)
    assert (result.returncode, result.stderr) == (0, "")
    assert "note: tenant acme: the IdP's last signing certificate ends on " in result.stdout
    assert ", in 5 days: it is accepted all the same" in result.stdout


def test_metadata_that_ends_is_a_note_and_no_finding(copy: Path) -> None:
    metadata = copy / "config" / "tenants" / "acme-idp.xml"
    end = datetime.now(UTC) + timedelta(days=5, hours=1)
    metadata.write_text(
        metadata.read_text().replace(" entityID=", f' validUntil="{end:%Y-%m-%dT%H:%M:%SZ}" entityID=', 1)
    )
    result = run(cwd=copy)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"; IdP metadata until {end:%Y-%m-%d %H:%M} UTC\n" in result.stdout
    assert f"note: tenant acme: the IdP's metadata ends on {end.date()}, in 5 days, by its validUntil" in result.stdout


@pytest.fixture
def url(copy: Path) -> str:
    return f"sqlite:///{copy}/config/var/bridge.db"


async def test_what_the_state_has_is_shown_without_secrets(copy: Path, store: Store) -> None:
    await store.write(partial(clocks.record, tenant="acme", provider="https://idp.acme.com/saml2", offset_ms=-90_400))
    for id, days in (("ab12", 6), ("cd34", 400)):
        made = MadeKey(id, b"private", certificate(datetime.now(UTC) + timedelta(days=days, hours=1)))
        await store.write(partial(keys.add, seal=Seal(["s" * 32]), kind=Kind("saml"), made=made))
    result = run(cwd=copy)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"; IdP clock 90.4 s behind ours on {datetime.now(UTC).date()}, clock_skew 60 s\n" in result.stdout
    assert "note: the certificate of our SAML key ab12 ends on " in result.stdout
    assert "cd34" not in result.stdout


def test_the_idps_clock_is_shown_beside_the_skew_that_is_allowed(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.tenants["acme"]["saml"]["clock_skew"] = "3m"
    tenant = deployment.load().tenants["acme"]
    idp, moment = tenant.provider.entity_id, 1_763_812_800_000
    assert summary(tenant, Clock("acme", idp, 1_250, moment)).endswith(
        "; IdP clock 1.2 s ahead of ours on 2025-11-22, clock_skew 180 s"
    )
    assert summary(tenant, Clock("acme", "a former IdP", 1_250, moment)) == summary(tenant)
    assert "clock" not in summary(tenant)


def test_a_state_that_cannot_be_read_is_a_note(copy: Path) -> None:
    (copy / "config" / "var").mkdir()
    database = copy / "config" / "var" / "bridge.db"
    database.write_bytes(b"")
    result = run(cwd=copy)
    assert (result.returncode, result.stderr) == (0, "")
    assert "not looked at: the state could not be read or written: OperationalError; a state of " in result.stdout
