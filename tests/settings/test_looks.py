"""`pages:` of the service and of tenants: read with the settings, judged as they are, and followed as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.pages import Looks
from bridge.settings.load import SettingsFiles

from .conftest import Folder

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>'


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_tenant_has_its_own_over_the_services(folder: Folder) -> None:
    write(folder.path / "brand" / "logo.svg", SVG)
    write(folder.path / "tenants" / "acme" / "logout.html", "")
    folder.service('pages: {name: Learning Hub, logo: brand/logo.svg, accent: "#0B3D91"}')
    folder.tenant("acme", "pages: {name: Acme Academy, support: https://help.acme.example}")
    configuration = folder.load()
    html = Looks(lambda: configuration.look).of(configuration.tenants["acme"]).logged_out().html
    for part in ("Acme Academy", "data:image/svg+xml;base64,", "--fill: #0b3d91", "https://help.acme.example"):
        assert part in html
    assert configuration.look.name == "Learning Hub"


def test_everything_that_is_wrong_is_said_at_once_and_where(folder: Folder) -> None:
    write(folder.path / "tenants" / "brand" / "refusal.html", "{{ reference }}\n{{ nothing }}")
    write(folder.path / "tenants" / "logo.png", "not an image")
    folder.tenant("acme", "pages:\n  logo: logo.png\n  templates: brand\n  name: Acme")
    found = folder.problems()
    assert [problem.split(" ")[0] for problem in sorted(found)] == [
        "tenants/acme.yaml:2:",
        "tenants/brand/refusal.html:2:",
    ]
    assert any(
        "logo.png: this is no image that browsers show: save it as SVG, PNG, JPEG or WebP" in one for one in found
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("refusals.html", "x", "tenants/brand/refusals.html has the name of no template: write refusal.html?"),
        ("zzz.html", "x", "has the name of no template: those are break_out.html, "),
        ("refusal.html", "x" * 65537, "refusal.html is larger than 64 KiB"),
        ("refusal.html", "\udcff", "refusal.html is not UTF-8"),
    ],
)
def test_files_in_the_folder_of_templates(folder: Folder, name: str, content: str, message: str) -> None:
    folder.tenant("acme", "pages: {templates: brand}")
    path = folder.path / "tenants" / "brand" / name
    path.parent.mkdir()
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    [problem] = folder.problems()
    assert problem.startswith("tenants/acme.yaml:1: `pages.templates`: ")
    assert message in problem


@pytest.mark.parametrize("leads_to", ["../../bridge.yaml", "/dev/zero", "_part.html"])
def test_a_template_is_no_way_to_another_file(folder: Folder, leads_to: str) -> None:
    """Whoever fills the folder could have the secrets of the settings shown on a page."""
    folder.tenant("acme", "pages: {templates: brand}")
    brand = folder.path / "tenants" / "brand"
    brand.mkdir()
    (brand / "_part.html").symlink_to(leads_to)
    [problem] = folder.problems()
    assert "_part.html leads out of its folder: put the file itself there" in problem or "there is no file" in problem
    assert leads_to.startswith("_") == ("there is no file" in problem), "a link to itself leads nowhere"


def test_a_folder_may_be_a_link_and_have_links_within(folder: Folder) -> None:
    """As Kubernetes mounts files."""
    write(folder.path / "mounted" / "_part.html", "<p>Certified</p>")
    (folder.path / "mounted" / "_same.html").symlink_to("_part.html")
    (folder.path / "tenants" / "brand").symlink_to("../mounted")
    folder.tenant("acme", "pages: {templates: brand}")
    assert [template.name for template in folder.acme().look.templates] == ["_part.html", "_same.html"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("_\x1b[2J.html", "x"),
        ("\x1b[2J.html", "x"),
        ("_\u202egnp.html", "<script>"),
        ("refusal.html", "{% include '\x1b[2J\x07' %}"),
        ("refusal.html", "{% \x1b[2J %}"),
        ("refusal.html", "{{ ''|\x1b[2J }}"),
    ],
)
def test_a_problem_says_nothing_to_the_terminal(folder: Folder, name: str, content: str) -> None:
    folder.tenant("acme", "pages: {templates: brand}")
    write(folder.path / "tenants" / "brand" / name, content)
    problems = folder.problems()
    assert problems
    assert all(problem.isprintable() for problem in problems)


def test_other_files_are_nobodys_concern(folder: Folder) -> None:
    for name in ("README.md", ".refusal.html.swp", ".hidden.html", "_part.html"):
        write(folder.path / "tenants" / "brand" / name, "{{ broken")
    folder.tenant("acme", "pages: {templates: brand}")
    assert [template.name for template in folder.acme().look.templates] == ["_part.html"]


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        ("{logo: nowhere.svg}", "`pages.logo`: there is no file"),
        ("{templates: nowhere}", "`pages.templates`:"),
        ("{templates: acme.yaml}", "cannot be read as a folder (Not a directory)"),
        ("{accent: blue}", 'write a colour as "#RRGGBB"'),
        ("{support: http://help.example.com}", "write an https URL, or mailto: and an address"),
        ("{support: 'javascript:alert(1)'}", "write an https URL, or mailto: and an address"),
        ("{colour: '#ffffff'}", "`pages.colour` is no setting"),
    ],
)
def test_what_cannot_be(folder: Folder, pages: str, message: str) -> None:
    folder.tenant("acme", f"pages: {pages}")
    [problem] = folder.problems()
    assert problem.startswith("tenants/acme.yaml:1: ")
    assert message in problem


def test_a_large_logo_is_refused(folder: Folder) -> None:
    (folder.path / "tenants" / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(65529))
    folder.tenant("acme", "pages: {logo: logo.png}")
    [problem] = folder.problems()
    assert "logo.png is larger than 64 KiB: keep it below" in problem


def test_what_is_wrong_with_the_services_pages_stops_the_start(folder: Folder) -> None:
    folder.service("pages:\n  logo: nowhere.svg")
    with pytest.raises(SettingsError, match=r"bridge\.yaml:2: `pages\.logo`: there is no file"):
        folder.load()


def test_each_file_is_followed(folder: Folder) -> None:
    """The service's and the tenant's, templates that come and go among them; a broken one leaves what was."""
    write(folder.path / "logo.svg", SVG)
    write(folder.path / "tenants" / "brand" / "style.css", "p {}")
    folder.service("pages: {logo: logo.svg}")
    folder.tenant("acme", "pages: {templates: brand}")
    files = SettingsFiles(folder.bridge, folder.environ)

    def followed() -> bool:
        return files.apply(files.differences()) is not None

    before = files.configuration.look
    write(folder.path / "logo.svg", SVG.replace("path", "path id='a'"))
    assert followed()
    assert files.configuration.look != before

    write(folder.path / "tenants" / "brand" / "refusal.html", "{{ reference }}{{ retry }}")
    assert followed()
    assert len(files.configuration.tenants["acme"].look.templates) == 2
    write(folder.path / "tenants" / "brand" / "refusal.html", "{{ refrence }}{{ retry }}")
    files.apply(files.differences())
    assert files.configuration.tenants["acme"].look.templates[0].source == "{{ reference }}{{ retry }}"
    (folder.path / "tenants" / "brand" / "refusal.html").unlink()
    assert followed()
    assert len(files.configuration.tenants["acme"].look.templates) == 1

    folder.service("pages: {logo: logo.svg, name: Learning Hub}")
    assert followed()
    assert files.configuration.look.name == "Learning Hub"
    folder.service("pages: {logo: gone.svg}")
    files.apply(files.differences())
    assert files.configuration.look.name == "Learning Hub"
