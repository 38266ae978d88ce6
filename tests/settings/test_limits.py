"""Files that are too large, too deep, not text, or made to be slow: refused, with a line, in no time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import SettingsError
from bridge.settings.document import MAX_SIZE, read_document
from bridge.settings.files import Watched

from .conftest import Folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: " + b"x" * MAX_SIZE, "1: bridge.yaml is larger than 256 KiB"),
        (b"a: 1\nb: \xff\n", "1: bridge.yaml is not UTF-8"),
        ("a: 1\nb: é".encode("utf-16"), "1: bridge.yaml is not UTF-8"),
        (b"a: 1\nb: \x00\n", "2: a character here cannot stand in YAML"),
        (b"a: 1\nb: \x1b[31m\n", "2: a character here cannot stand in YAML"),
        (b"a: " + b"[" * 200_000, "1: nested deeper than 16 levels"),
        (b"a: " + b"{a: " * 50_000, "1: nested deeper than 16 levels"),
        (b"? " * 100_000, "1: "),
        (b"- " * 100_000, "1: "),
        (b"%YAML 9.9\n---\na: 1", "1: "),
        (b"", "1: the file is empty"),
        (b"---\n", "2: the file is no mapping"),
    ],
)
def test_unusable_files(folder: Folder, content: bytes, message: str) -> None:
    folder.bridge.write_bytes(content)
    began = time.process_time()
    problems = [problem.replace(f"{folder.path}/", "") for problem in folder.problems()]
    assert time.process_time() - began < 2
    assert problems[0].startswith(f"bridge.yaml:{message}")


def test_a_missing_file_and_a_folder(folder: Folder) -> None:
    folder.bridge.unlink()
    assert folder.problems()[0].startswith("bridge.yaml:1: there is no file ")
    folder.bridge.mkdir()
    assert folder.problems()[0].startswith("bridge.yaml:1: there is no file ")


def test_metadata_has_a_limit(folder: Folder) -> None:
    (folder.path / "tenants" / "idp.xml").write_bytes(b"<" * (2 * 1024 * 1024 + 1))
    (problem,) = folder.problems()
    assert problem.startswith("tenants/acme.yaml:")
    assert "is larger than 2048 KiB" in problem


@given(st.text(alphabet=st.sampled_from("ab:-?[]{}&*!|>'\"%@`#,\n\t $~0\\\u00e9\u2028\ufeff\x85"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode())
    try:
        document = read_document(path, {}, Watched())
    except SettingsError as error:
        lines = text.count("\n") + text.count("\u2028") + text.count("\x85") + 2
        assert all(1 <= problem.line <= lines for problem in error.problems)
    else:
        assert isinstance(document.values, dict)
