"""`kombo-bridge tenant new` and `show`, as an operator runs them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from lxml import etree

from bridge.demo.responses import idp_metadata
from bridge.onboarding.facts import idps, lmss
from bridge.onboarding.tenant_file import ATTRIBUTE
from bridge.saml.document import tag
from bridge.saml.party import sp_metadata
from bridge.store import keys as rows
from bridge.store.engine import Store
from bridge.store.keys import Kind
from bridge.store.migrate import migrate
from bridge.store.sealing import Seal
from tests.onboarding.conftest import Desk
from tests.support.deployment import SECRET, idp_key
from tests.support.keys import made
from tests.support.shapes import IDPS

HOSTILE = yaml.safe_load((Path(__file__).parent / "hostile.yaml").read_text("utf-8"))
PAIRS = [(idp, lms) for idp, lms in itertools.product(idps(), lmss()) if idps()[idp].lms in (None, lms)]
KNOWN = ("--name", "Acme Corporation", "--integration-id", "workday:HWUTwvyx2wLoSUHphiWVrp28")


def metadata(folder: Path) -> Path:
    path = folder / "from-the-customer.xml"
    path.write_bytes(idp_metadata("https://idp.acme.com", idp_key(), "https://idp.acme.com/sso"))
    return path


def said_by(document: str) -> dict[str, Any]:
    """What the SP's metadata says, read anew."""
    root = etree.fromstring(document.encode())
    return {
        "entity_id": root.get("entityID"),
        "acs": [element.get("Location") for element in root.iter(tag("md:AssertionConsumerService"))],
        "slo": {element.get("Location") for element in root.iter(tag("md:SingleLogoutService"))},
    }


def every_value(pack: dict[str, Any]) -> Iterator[str]:
    for step in pack["steps"]:
        yield from (field["value"] for field in step["fields"] if field["value"])
        yield from (part for copy in step["copy"] for part in copy.replace("'", '"').split('"'))


@pytest.mark.parametrize(("idp", "lms"), PAIRS)
def test_the_file_is_what_the_loader_takes(desk: Desk, idp: str, lms: str) -> None:
    sample = IDPS / idp / "metadata.xml"
    given = sample if sample.exists() else metadata(desk.deployment.folder)
    pack = desk.new("acme", "--idp", idp, "--lms", lms, *KNOWN, "--metadata", str(given))
    assert pack["missing"] == []
    configuration = desk.loaded()
    assert not configuration.broken
    tenant = configuration.tenants["acme"]
    assert (tenant.name, tenant.integration_id) == (KNOWN[1], KNOWN[3])
    assert (tenant.saml.signed, tenant.saml.idp_initiated) == (idps()[idp].signed, idps()[idp].idp_initiated)
    [entry] = tenant.identity
    expected = {"name_id": None, "attribute": ATTRIBUTE}[idps()[idp].identity]
    assert (entry.tier, entry.source) == (idps()[idp].identity, expected)
    assert tenant.gate.default == "assigned"
    assert pack["lms"] == lmss()[lms].name
    assert any("Where it comes from" in line for line in pack["identifier"])


@pytest.mark.parametrize("idp", idps())
@pytest.mark.parametrize("hosts", [(), ("acme.learn.example.com", "kurse.acme.com")])
def test_every_address_is_the_metadatas_letter_by_letter(desk: Desk, idp: str, hosts: tuple[str, ...]) -> None:
    own = [part for host in hosts for part in ("--host", host)]
    desk.new(
        "acme",
        "--idp",
        idp,
        *KNOWN[:2],
        "--integration-id",
        "successfactors:x",
        *own,
        "--metadata",
        str(metadata(desk.deployment.folder)),
    )
    tenant = desk.loaded().tenants["acme"]
    truth = said_by(sp_metadata(tenant.party).decode())
    pack = desk.show("acme", "--idp", idp)
    shown = said_by(pack["sp_metadata"])
    assert (shown["entity_id"], shown["acs"]) == (truth["entity_id"], truth["acs"])
    assert (
        pack["addresses"]["entity_id"] == truth["entity_id"] == "https://learn.example.com/_bridge/saml/acme/metadata"
    )
    assert [pack["addresses"]["acs_url"]] == truth["acs"]
    assert pack["addresses"]["logout_url"] == tenant.party.slo
    host = hosts[0] if hosts else "learn.example.com"
    assert pack["login"] == f"https://{host}/_bridge/saml/acme/login"
    ours = {value for value in every_value(pack) if "/_bridge/" in value and not value.startswith("^")}
    assert ours <= set(pack["addresses"].values())
    text = desk("show", "acme", "--idp", idp).out
    stripped = [line.strip() for line in text.splitlines()]
    assert all(value in stripped for value in pack["addresses"].values())


def test_a_pattern_of_the_acs_matches_nothing_else(desk: Desk) -> None:
    pack = desk.new("acme", "--idp", "onelogin")
    [pattern] = [field["value"] for step in pack["steps"] for field in step["fields"] if "Validator" in field["field"]]
    acs = pack["addresses"]["acs_url"]
    assert re.match(pattern, acs)
    assert not re.match(pattern, acs.replace("learn.", "learnX"))
    assert not re.match(pattern, f"{acs}0")


def test_what_is_not_known_yet_is_said_and_check_says_it_too(desk: Desk) -> None:
    said = desk("new", "acme", "--idp", "okta", "--lms", "workday")
    assert (said.code, said.err) == (0, "")
    [error] = desk.loaded().broken.values()
    assert [problem.message.split("`")[1] for problem in error.problems] == ["name", "kombo.integration_id"]
    assert all(str(problem) in said.out for problem in error.problems)
    assert "there is no file" in said.out and "acme-idp.xml" in said.out
    assert "tenant_unavailable" in said.out
    file = desk.tenants / "acme.yaml"
    file.write_text(
        file.read_text().replace("name: ''", "name: Acme").replace("integration_id: ''", "integration_id: workday:x")
    )
    [error] = desk.loaded().broken.values()
    assert "acme-idp.xml" in str(error)
    (desk.tenants / "acme-idp.xml").write_bytes(metadata(desk.deployment.folder).read_bytes())
    assert not desk.loaded().broken


def test_the_line_of_the_missing_metadata_is_its_own(desk: Desk) -> None:
    [*_, last] = desk.new("acme", "--idp", "okta")["missing"]
    line = int(last.split(":")[1])
    assert (desk.tenants / "acme.yaml").read_text().splitlines()[line - 1].strip().startswith("metadata: acme-idp.xml")


def test_a_url_is_awaited(desk: Desk) -> None:
    [missing] = desk.new(
        "acme", "--idp", "okta", *KNOWN, "--metadata", "https://acme.okta.com/app/x/sso/saml/metadata"
    )["missing"]
    assert "yet to be fetched" in missing
    assert not desk.loaded().problems


def test_metadata_names_its_idp_by_itself(desk: Desk) -> None:
    assert desk.new("acme", *KNOWN, "--metadata", str(IDPS / "entra" / "metadata.xml"))["idp"] == "Microsoft Entra ID"
    assert desk.show("acme")["idp"] == "Microsoft Entra ID"
    said = desk("new", "globex", "--idp", "okta", "--metadata", str(IDPS / "entra" / "metadata.xml"))
    assert "The metadata is that of Microsoft Entra ID, and this is for Okta" in said.out


def test_metadata_in_the_folder_is_named_as_it_is(desk: Desk) -> None:
    there = desk.tenants / "acme-2026.xml"
    there.write_bytes(metadata(desk.deployment.folder).read_bytes())
    desk.new("acme", "--idp", "other", *KNOWN, "--metadata", str(there))
    assert desk.loaded().tenants["acme"].saml.metadata == there
    assert not (desk.tenants / "acme-idp.xml").exists()


def test_metadata_that_is_none_leaves_nothing(desk: Desk) -> None:
    wrong = desk.deployment.folder / "wrong.xml"
    wrong.write_text("<html>")
    said = desk("new", "acme", "--idp", "okta", "--metadata", str(wrong))
    assert said.code == 1 and "wrong.xml" in said.err
    assert list(desk.tenants.iterdir()) == []


@pytest.mark.parametrize("taken", ["file", "link", "folder"])
def test_nothing_is_ever_overwritten(desk: Desk, taken: str) -> None:
    path = desk.tenants / "acme.yaml"
    if taken == "file":
        path.write_text("mine")
    elif taken == "link":
        path.symlink_to(desk.deployment.folder / "elsewhere")
    else:
        path.mkdir()
    said = desk("new", "acme", "--idp", "okta", "--metadata", str(metadata(desk.deployment.folder)))
    assert said.code == 1 and "is there already" in said.err
    assert [found.name for found in desk.tenants.iterdir()] == ["acme.yaml"]
    assert not (desk.deployment.folder / "elsewhere").exists()
    assert taken != "file" or path.read_text() == "mine"


def test_other_metadata_of_that_name_stays(desk: Desk) -> None:
    (desk.tenants / "acme-idp.xml").write_text("mine")
    said = desk("new", "acme", "--idp", "okta", "--metadata", str(metadata(desk.deployment.folder)))
    assert said.code == 1
    assert [found.name for found in desk.tenants.iterdir()] == ["acme-idp.xml"]
    assert (desk.tenants / "acme-idp.xml").read_text() == "mine"


def test_a_page_in_the_way_stops_it_before_anything_is_written(desk: Desk) -> None:
    page = desk.deployment.folder / "acme.html"
    page.write_text("mine")
    assert desk("new", "acme", "--idp", "okta", "--page", str(page)).code == 1
    assert (page.read_text(), list(desk.tenants.iterdir())) == ("mine", [])


def test_printing_only_writes_nothing(desk: Desk) -> None:
    pack = desk.new(
        "acme", "--idp", "okta", *KNOWN, "--print-only", "--metadata", str(metadata(desk.deployment.folder))
    )
    assert list(desk.tenants.iterdir()) == []
    assert pack["file"]["written"] is False
    assert "name: Acme Corporation" in desk("new", "acme", "--idp", "okta", *KNOWN, "--print-only").out
    desk.new("acme", "--idp", "okta", *KNOWN)
    assert (desk.tenants / "acme.yaml").read_text() == pack["file"]["text"]


def test_the_file_can_be_read_by_whom_the_umask_lets(desk: Desk) -> None:
    before = os.umask(0o027)
    try:
        desk.new("acme", "--idp", "okta")
    finally:
        os.umask(before)
    assert (desk.tenants / "acme.yaml").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in desk.tenants.iterdir()] == ["acme.yaml"]


def test_the_editor_finds_the_schema_where_there_is_one(desk: Desk) -> None:
    assert "yaml-language-server" not in desk.new("acme", "--idp", "okta")["file"]["text"]
    (desk.deployment.folder / "schema").mkdir()
    (desk.deployment.folder / "schema" / "tenant.json").write_text("{}")
    first = desk.new("globex", "--idp", "okta")["file"]["text"].splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schema/tenant.json"


@pytest.mark.parametrize("name", HOSTILE["names"])
def test_a_name_is_read_back_as_it_is(desk: Desk, name: str) -> None:
    given = str(metadata(desk.deployment.folder))
    desk.new("acme", "--idp", "adfs", "--name", name, *KNOWN[2:], "--attribute", name, "--metadata", given)
    tenant = desk.loaded().tenants["acme"]
    assert (tenant.name, tenant.identity[0].source) == (name, name)
    assert tenant.gate.default == "assigned"
    pack = desk.show("acme", "--idp", "adfs")
    assert pack["name"] == name
    assert name in desk("show", "acme", "--idp", "adfs").out


@pytest.mark.parametrize("name", HOSTILE["refused_names"])
def test_a_name_that_no_file_may_say_is_refused(desk: Desk, name: str) -> None:
    said = desk("new", "acme", "--idp", "okta", "--name", name)
    assert said.code in (1, 2)
    assert said.err.replace("\n", "").isprintable()
    assert list(desk.tenants.iterdir()) == []


@pytest.mark.parametrize("slug", HOSTILE["slugs"])
@pytest.mark.parametrize("command", ["new", "show"])
def test_a_slug_leads_nowhere_else(desk: Desk, command: str, slug: str) -> None:
    before = sorted(desk.deployment.folder.rglob("*"))
    said = desk(command, "--idp", "okta", "--", slug) if slug.startswith("-") else desk(command, slug, "--idp", "okta")
    assert said.code in (1, 2)
    assert sorted(desk.deployment.folder.rglob("*")) == before


@pytest.mark.parametrize(("option", "value"), [(o, v) for o, values in HOSTILE["options"].items() for v in values])
def test_a_choice_that_no_file_may_say_is_refused(desk: Desk, option: str, value: str) -> None:
    said = desk("new", "acme", "--idp", "okta", f"--{option}", value)
    assert said.code == 2
    assert f"--{option}" in said.err
    assert list(desk.tenants.iterdir()) == []


def test_what_another_tenant_has_is_refused(desk: Desk) -> None:
    given = ("--metadata", str(metadata(desk.deployment.folder)))
    desk.new("acme", "--idp", "okta", *KNOWN, *given, "--host", "acme.learn.example.com", "--email-domain", "acme.com")
    for claim in (("--host", "ACME.learn.example.com"), ("--email-domain", "acme.com")):
        said = desk("new", "globex", "--idp", "okta", *claim)
        assert said.code == 1 and "acme" in said.err
    assert not (desk.tenants / "globex.yaml").exists()


def test_what_another_newcomer_has_been_promised_is_refused(desk: Desk) -> None:
    desk.new("acme", "--idp", "okta", "--host", "acme.learn.example.com", "--email-domain", "acme.com")
    assert "acme" in desk.loaded().broken
    for claim in (("--host", "ACME.learn.example.com"), ("--email-domain", "acme.com")):
        said = desk("new", "globex", "--idp", "okta", *claim)
        assert said.code == 1 and "acme" in said.err
    (desk.tenants / "acme.yaml").write_text("hosts: {a: [b]}\nemail_domains: no")
    desk.new("globex", "--idp", "okta", "--email-domain", "acme.com")


def test_the_lms_as_its_own_idp_goes_with_no_other(desk: Desk) -> None:
    assert desk("new", "acme", "--idp", "successfactors", "--lms", "workday").code == 2
    assert desk("new", "acme", "--idp", "successfactors", "--integration-id", "workday:x").code == 2
    assert desk.new("acme", "--idp", "successfactors")["lms"] == "SAP SuccessFactors"


@pytest.mark.parametrize("arguments", [(), ("--idp", "auth0"), ("--idp", "okta", "--lms", "moodle")])
def test_what_is_not_known_is_wrong_usage(desk: Desk, arguments: tuple[str, ...]) -> None:
    said = desk("new", "acme", *arguments)
    assert said.code == 2 and "write one of" in said.err


def test_the_pack_follows_the_settings(desk: Desk) -> None:
    """What is shown of a tenant comes from its file as it is, not from how it was made."""
    folder = desk.deployment.folder
    desk.new("acme", "--idp", "okta", *KNOWN, "--metadata", str(metadata(folder)))
    (desk.tenants / "acme.yaml").write_text(
        """
        name: Acme
        kombo: {integration_id: "docebo:x"}
        hosts: [acme.learn.example.com]
        saml: {metadata: acme-idp.xml, sp_entity_id: "https://old.example.com/sp", single_logout: true,
               sp_acs: "https://acme.learn.example.com/saml/acs"}
        identity:
          - {attribute: personnel, remote_extract: 'PERNR:(?P<id>.+)'}
          - {email: mail}
          - {email: name_id}
        gate: library
        pages: {name: Lernwelt}
        """
    )
    pack = desk.show("acme", "--idp", "okta")
    assert (pack["platform"], pack["lms"]) == ("Lernwelt", "your LMS")
    assert pack["addresses"]["entity_id"] == "https://old.example.com/sp"
    assert pack["addresses"]["acs_url"] == "https://acme.learn.example.com/saml/acs"
    titles = [step["title"] for step in pack["steps"]]
    wanted = ["The learner's id, as an attribute", "The email address, as an attribute", "The email address, as NameID"]
    assert [title for title in titles if title.startswith("The ")] == wanted
    assert "Single logout" in titles
    assert any("PERNR:(?P<id>.+)" in line for line in pack["identifier"])
    assert [field["value"] for step in pack["steps"] for field in step["fields"] if field["field"] == "Name"] == [
        "personnel",
        "mail",
    ]


def test_a_tenant_without_metadata_can_be_shown(desk: Desk) -> None:
    desk.new("acme", "--idp", "okta", *KNOWN)
    said = desk("show", "acme")
    assert said.code == 0 and "with --idp" in said.out


def test_a_broken_file_says_where(desk: Desk) -> None:
    desk.new("acme", "--idp", "okta")
    said = desk("show", "acme")
    assert said.code == 1 and "acme.yaml:" in said.err and "`name` is empty" in said.err


def test_our_certificates_are_those_of_the_state(desk: Desk) -> None:
    url = f"sqlite:///{desk.deployment.folder}/bridge.db"
    migrate(url)
    shared, own = made("saml", 0), made("saml", 1, "acme")
    with closing(Store(url)) as store:
        for kind, key in ((Kind("saml"), shared), (Kind("saml", "acme"), own), (Kind("stamp"), made("stamp"))):
            asyncio.run(store.write(lambda c, kind=kind, key=key: rows.add(c, Seal([SECRET]), kind, key)))
    pack = desk.new("acme", "--idp", "okta", *KNOWN, "--metadata", str(metadata(desk.deployment.folder)))
    assert [each["pem"] for each in pack["certificates"]] == [shared.certificate]
    assert said_by(pack["sp_metadata"])["slo"] == {pack["addresses"]["logout_url"]}
    file = desk.tenants / "acme.yaml"
    file.write_text(file.read_text().replace("  # own_keys: true", "  own_keys: true"))
    pack = desk.show("acme")
    assert [each["pem"] for each in pack["certificates"]] == [own.certificate]
    assert pack["certificates"][0]["sha256"] in desk("show", "acme").out


def test_commented_settings_are_settings(desk: Desk) -> None:
    """Every line that can be had by removing its `# ` is one that the loader takes."""
    desk.new("acme", "--idp", "okta", *KNOWN, "--gate", "library", "--metadata", str(metadata(desk.deployment.folder)))
    file = desk.tenants / "acme.yaml"
    lines = file.read_text().splitlines()
    for index, line in enumerate(lines):
        bare = line.lstrip()
        if (
            bare.startswith("# ")
            and bare[2:].split(":")[0].split(" #")[0].strip(" -").isidentifier()
            and "   # " in line
        ):
            lines[index] = line.replace("# ", "", 1)
    file.write_text("\n".join(lines))
    tenant = desk.loaded().tenants["acme"]
    assert tenant.saml.own_keys and tenant.saml.single_logout and tenant.hosts and tenant.on_launch == "enroll"
    assert [entry.tier for entry in tenant.identity] == ["attribute", "name_id", "email"]


def test_the_sp_metadata_can_be_had_before_the_tenant_is_valid(desk: Desk) -> None:
    file = desk.deployment.folder / "sp.xml"
    desk.new("acme", "--idp", "adfs", "--sp-metadata", str(file))
    assert said_by(file.read_text())["acs"] == ["https://learn.example.com/_bridge/saml/acme/acs"]


def test_only_ascii_reaches_a_script(desk: Desk) -> None:
    said = desk("new", "acme", "--idp", "okta", "--name", "Ümläut", "--json")
    assert said.out.isascii()
    assert json.loads(said.out)["name"] == "Ümläut"


def test_metadata_by_a_link_is_named_as_it_lies_there(desk: Desk) -> None:
    """The link's own name may be that of another customer's metadata."""
    there = desk.tenants / "acme-2026.xml"
    there.write_bytes(metadata(desk.deployment.folder).read_bytes())
    (desk.tenants / "newest.xml").write_bytes((IDPS / "entra" / "metadata.xml").read_bytes())
    link = desk.deployment.folder / "newest.xml"
    link.symlink_to(there)
    desk.new("acme", "--idp", "other", *KNOWN, "--metadata", str(link))
    assert desk.loaded().tenants["acme"].saml.metadata == there


@pytest.mark.parametrize("names", [("nowhere/acme.html", "acme.xml"), ("acme.html", "nowhere/acme.xml"), ("a", "./a")])
def test_what_cannot_all_be_written_is_not_begun(desk: Desk, names: tuple[str, str]) -> None:
    folder = desk.deployment.folder
    before = sorted(folder.rglob("*"))
    page, file = (str(folder / name) for name in names)
    said = desk("new", "acme", "--idp", "okta", "--page", page, "--sp-metadata", file)
    assert said.code == 1
    assert ("asked for twice" if "nowhere" not in page + file else "there is no folder") in said.err
    assert sorted(folder.rglob("*")) == before


def test_the_page_in_the_tenant_files_own_place_is_refused(desk: Desk) -> None:
    assert desk("new", "acme", "--idp", "okta", "--page", str(desk.tenants / "acme.yaml")).code == 1
    assert list(desk.tenants.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"saml": {"metadata": "acme-idp.xml", "sp_acs": "https://old.example.com/saml/acs"}}, "`saml.sp_acs`"),
        ({"hosts": ["learn.example.com"]}, "`hosts`"),
    ],
)
def test_an_address_at_which_nobody_answers_is_not_handed_out(desk: Desk, change: dict[str, Any], says: str) -> None:
    desk.new("acme", "--idp", "okta", *KNOWN, "--metadata", str(metadata(desk.deployment.folder)))
    file = desk.tenants / "acme.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | change))
    said = desk("show", "acme", "--idp", "okta")
    assert (said.code, said.out) == (1, "")
    assert "acme.yaml:" in said.err and says in said.err


def test_what_is_shown_waits_for_no_metadata(desk: Desk) -> None:
    desk.new("acme", "--idp", "okta", *KNOWN)
    assert desk.loaded().broken
    assert desk.show("acme", "--idp", "okta")["addresses"]["acs_url"].endswith("/_bridge/saml/acme/acs")
