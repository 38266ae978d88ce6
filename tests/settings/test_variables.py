"""`${NAME}`, `${file:PATH}` and `$${`, and that no value of theirs is ever shown."""

from __future__ import annotations

import pytest

from bridge.settings.variables import VariableError, expand

from .conftest import Folder

SECRET = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("x${A}y${B}z", "xoney${A}z"),
        ("${EMPTY}", ""),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A ${A} $", "$A one $"),
        ("(?P<id>a{2})$", "(?P<id>a{2})$"),
        ("", ""),
    ],
)
def test_expansion_happens_once(folder: Folder, text: str, value: str) -> None:
    assert expand(text, {"A": "one", "B": "${A}", "EMPTY": ""}, folder.path) == value


@pytest.mark.parametrize("text", ["${}", "${a b}", "${A:-x}", "${${A}}", "${A", "${1}", "${file:}", "${env:A}"])
def test_anything_else_is_refused(folder: Folder, text: str) -> None:
    with pytest.raises(VariableError):
        expand(text, {"A": "one"}, folder.path)


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"x", "x"), (b"x\n", "x"), (b"x\n\n", "x\n"), (b"x\r\n", "x"), (b" x ", " x "), (b"", ""), (b"${A}", "${A}")],
)
def test_a_file_loses_one_final_newline(folder: Folder, content: bytes, value: str) -> None:
    (folder.path / "f.txt").write_bytes(content)
    assert expand("${file:f.txt}", {}, folder.path) == value


@pytest.mark.parametrize("content", [b"\xff", b"x" * (64 * 1024 + 1), None])
def test_a_file_that_cannot_be_used(folder: Folder, content: bytes | None) -> None:
    if content is not None:
        (folder.path / "f.txt").write_bytes(content)
    with pytest.raises(VariableError, match=r"\$\{file:f.txt\}.*f.txt"):
        expand("${file:f.txt}", {}, folder.path)


def test_a_files_path_starts_at_the_file_that_names_it(folder: Folder) -> None:
    (folder.path / "tenants" / "key.txt").write_text("theirs\n")
    folder.tenant("acme", "kombo: {integration_id: i, api_key: '${file:key.txt}'}")
    assert folder.acme().kombo.api_key.get_secret_value() == "theirs"


def test_variables_cannot_bring_yaml(folder: Folder) -> None:
    folder.environ["NAME"] = "x\nsecrets: []"
    folder.service("kombo: {api_key: '${NAME}'}")
    assert folder.problems() == [
        "bridge.yaml:1: `kombo.api_key`: write a value of printable ASCII without blanks or line breaks"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "audience: '${X} '",
        "public_url: ${X}",
        "listen: ${X}",
        "upstream: ${X}",
        "state: ${X}",
        "secrets: ['${SHORT}']",
        "secrets: ${X}",
        "kombo: ${X}",
        "kombo: {api_key: '${X} '}",
        "kombo: {api_key: k, api_url: '${X}'}",
        "session: {idle: '${X}'}",
        "trusted_proxies: ['${X}']",
        "tenants: ${X}",
        "routes: [{path: '${X}', access: '${X}'}]",
        "headers: {X-User: '${X}'}",
        "completions: [{method: '${X}', path: '${X}', status: '${X}'}]",
        "completion_header: ${X}",
        "audience: ${X}\naudience: ${X}",
    ],
)
def test_no_message_says_a_variables_value(folder: Folder, text: str) -> None:
    folder.environ |= {"X": SECRET, "SHORT": SECRET[:20]}
    folder.service(text)
    problems = folder.problems()
    assert problems
    assert "s3cr3t" not in "".join(problems)


def test_an_unset_variable_hides_no_other_problem(folder: Folder) -> None:
    folder.service("secrets: ['${NOT_SET}']\naudience: ''")
    assert [problem.partition(": ")[0] for problem in folder.problems()] == ["bridge.yaml:1", "bridge.yaml:2"]


def test_an_undecodable_variable_is_refused(folder: Folder) -> None:
    with pytest.raises(VariableError, match="not UTF-8"):
        expand("${X}", {"X": "a\udcff"}, folder.path)
