"""What commands write on a terminal, whatever its width and its encoding."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bridge.cli.tables import print_table

ID = "HWUTwvyx2wLoSUHphiWVrp28"
LINK = f"https://acme.learn.example.com/courses/{ID}/start?tenant=acme"


def test_on_a_narrow_terminal_nothing_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An id or a link that ends in dots can be given to no other command."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(("TENANT", "KOMBO ID", "LINK", "WHY"), [("acme", ID, LINK, "because " * 12)])
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith("│")]
    assert {len(line) for line in lines} == {80}
    cells = zip(*(line.split("│")[1:-1] for line in lines), strict=True)
    assert ["".join(part.strip() for part in column) for column in cells][1:3] == [ID, LINK]


def test_a_pipe_without_the_characters_gets_escapes() -> None:
    written = """
from bridge import cli
from bridge.cli.commands import register
register()
cli.app = lambda: print('\\xdcbung')
cli.main()
"""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", written], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\\xdcbung\n", b"")


@pytest.mark.parametrize(
    "arguments",
    [("courses", "deactivate", b"\xff", "--tenant", "acme"), ("outbox", "retry", b"\xff"), (b"\xff",)],
)
def test_an_argument_that_is_no_text_is_wrong_usage(arguments: tuple[str | bytes, ...]) -> None:
    command = [sys.executable, "-m", "bridge", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"kombo-bridge: an argument is no text in this system's encoding: write it in UTF-8\n"
