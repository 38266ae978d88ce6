"""The audit log's own file: whole lines whoever else writes to it, through rotation, a full disk, and the end."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge import logs
from bridge.audit import AuditFile, try_to_open
from bridge.errors import BridgeError

PATIENCE = 10.0


class Lost(list[int]):
    def __call__(self, lines: int) -> None:
        self.append(lines)


@pytest.fixture
def lost() -> Lost:
    return Lost()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def file(path: Path, lost: Lost) -> Iterator[AuditFile]:
    file = AuditFile(path, lost)
    yield file
    file.end()


def written(file: AuditFile, path: Path) -> list[str]:
    assert file.wait(PATIENCE)
    return path.read_text().splitlines()


def test_only_its_owner_may_read_it(file: AuditFile, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_that_is_there_keeps_its_mode_and_what_stands_in_it(path: Path, lost: Lost) -> None:
    path.write_text("before\n")
    path.chmod(0o640)
    file = AuditFile(path, lost)
    file.write("after\n")
    assert written(file, path) == ["before", "after"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_its_lines_have_the_shape_of_all_others(file: AuditFile, path: Path) -> None:
    logs.written_to(file).info("learner_signed_in", tenant="acme", user=None)
    [line] = written(file, path)
    said = json.loads(line)
    assert (said["event"], said["level"], said["tenant"], said["user"]) == ("learner_signed_in", "info", "acme", None)
    assert said["timestamp"].endswith("Z")


def test_a_line_is_ascii_whatever_stands_in_it(file: AuditFile, path: Path) -> None:
    logs.written_to(file).info("course_opened", course="\u202ex\n\x1b[2J")
    [line] = written(file, path)
    assert line.isascii()
    assert json.loads(line)["course"] == "\u202ex\n\x1b[2J"


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_it_goes_on_in_the_file_that_has_the_name(file: AuditFile, path: Path, how: str) -> None:
    file.write("one\n")
    assert written(file, path) == ["one"]
    aside = path.with_suffix(".1")
    if how == "removed":
        path.unlink()
    else:
        path.rename(aside)
    if how == "replaced":
        path.write_text("new\n")
    file.write("two\n")
    assert written(file, path) == (["new", "two"] if how == "replaced" else ["two"])
    assert how == "removed" or aside.read_text() == "one\n"


def test_it_goes_on_in_one_that_was_emptied(file: AuditFile, path: Path) -> None:
    file.write("one\n")
    assert written(file, path) == ["one"]
    os.truncate(path, 0)
    file.write("two\n")
    assert written(file, path) == ["two"]


def test_where_no_new_one_can_be_made_the_former_goes_on(file: AuditFile, path: Path, lost: Lost) -> None:
    aside = path.with_suffix(".1")
    path.rename(aside)
    path.mkdir()
    file.write("one\n")
    assert written(file, aside) == ["one"]
    assert not lost


def test_where_the_former_is_gone_as_well_the_log_has_the_lines(
    file: AuditFile, path: Path, lost: Lost, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a rotation that compresses at once, in a folder where the service may make no file."""
    logs.configure()
    path.unlink()
    path.mkdir()
    file.write("one\n")
    assert file.wait(PATIENCE)
    said = capsys.readouterr().err.splitlines()
    assert (said[0], json.loads(said[1])["event"], lost) == ("one", "audit_lines_not_written", [1])
    path.rmdir()
    file.write("two\n")
    assert written(file, path) == ["two"]


def test_a_line_that_another_process_left_unfinished_is_a_line_by_itself(file: AuditFile, path: Path) -> None:
    with path.open("a") as other:
        other.write('{"event": "cou')
    for line in ("one\n", "two\n"):
        file.write(line)
    assert written(file, path) == ['{"event": "cou', "one", "two"]


def test_what_waits_is_written_at_the_end_and_later_lines_at_once(path: Path, lost: Lost) -> None:
    file = AuditFile(path, lost)
    for number in range(1000):
        file.write(f"{number}\n")
    file.end()
    assert path.read_text().splitlines() == [str(number) for number in range(1000)]
    file.write("late\n")
    assert path.read_text().endswith("\nlate\n")


FULL = """
import json, sys
from pathlib import Path
from bridge import logs
from bridge.audit import AuditFile
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (25, resource.RLIM_INFINITY))
logs.configure()
lost = []
file = AuditFile(Path(sys.argv[1]), lost.append)
for name in ("first", "second", "third"):
    file.write(json.dumps({"event": name}) + "\\n")
assert file.wait(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.write(json.dumps({"event": "fourth"}) + "\\n")
file.end()
print(sum(lost))
"""


def test_what_a_full_disk_does_not_take_stands_in_the_log(path: Path) -> None:
    """A limit on the size of files stands for the disk: a line is cut by it as well."""
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in said] == ["second", "third", "audit_lines_not_written"]
    assert (said[-1]["count"], said[-1]["level"]) == (2, "warning")
    lines = path.read_text().splitlines()
    assert [json.loads(lines[0]), json.loads(lines[-1])] == [{"event": "first"}, {"event": "fourth"}]
    assert len(lines) == 3, "what was cut is a line by itself"


def test_more_than_there_is_room_for_stands_in_the_log(
    file: AuditFile, lost: Lost, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_room", 10)
    logs.configure()
    file.write("x" * 20 + "\n")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "x" * 20
    assert json.loads(said[1])["event"] == "audit_lines_not_written"
    assert lost == [1]


WRITER = """
import sys
from pathlib import Path
from bridge.audit import AuditFile
file = AuditFile(Path(sys.argv[1]), print)
for number in range(2000):
    file.write(sys.argv[2] * 150 + "\\n")
assert file.wait(30)
"""


def test_many_processes_share_it(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, letter]) for letter in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = path.read_text().splitlines()
    assert {letter: lines.count(letter * 150) for letter in "abc"} == dict.fromkeys("abc", 2000)
    assert len(lines) == 6000


@pytest.mark.parametrize("kind", ["folder", "no_folder", "pipe", "device"])
def test_what_is_no_file_is_an_error_at_the_start(tmp_path: Path, kind: str, lost: Lost) -> None:
    path = {"folder": tmp_path, "no_folder": tmp_path / "x" / "y", "device": Path("/dev/null")}.get(
        kind, tmp_path / "p"
    )
    if kind == "pipe":
        os.mkfifo(path)
    for open_it in (try_to_open, lambda path: AuditFile(path, lost)):
        with pytest.raises(BridgeError, match=r"the audit log .*audit_log"):
            open_it(path)
