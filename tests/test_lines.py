"""Log lines, and what becomes of them where nobody reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bridge.lines import Lines

WAIT = 20
ROOT = Path(__file__).parents[1]

# A process with a whole log of the bridge's, that says on its other output how far it has come.
PROGRAM = """
import logging, sys
import structlog
from bridge import logs
log = structlog.get_logger()
logs.configure()
log.info("before")
with logs.in_background() as lines:
    for number in range(int(sys.argv[1])):
        log.info("line", number=number, filling="x" * 1000)
        logging.getLogger("uvicorn.error").info("the library's")
    print("written", flush=True)
log.info("after")
logging.getLogger("uvicorn.error").info("after")
print("ended", flush=True)
"""


def program(number: int, stderr: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", PROGRAM, str(number)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, timeout=WAIT, check=False, cwd=ROOT)


def test_all_is_written_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        done = program(50, file.fileno())
    assert (done.returncode, done.stdout) == (0, b"written\nended\n")
    said = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    ours = [line.get("number", line["event"]) for line in said if line["event"] != "the library's"]
    assert ours == ["before", *range(50), "after", "after"]
    assert len(said) == 103
    assert all(line["level"] == "info" and line["timestamp"].endswith("Z") for line in said)


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    reading, writing = os.pipe()
    done = program(20_000, writing)
    assert (done.returncode, done.stdout) == (0, b"written\nended\n")
    assert os.read(reading, 10)
    os.close(reading)
    os.close(writing)


def test_a_log_whose_reader_has_gone_stops_nothing() -> None:
    reading, writing = os.pipe()
    script = PROGRAM.replace("with logs", "import os; os.close(int(sys.argv[2]))\nwith logs")
    process = subprocess.Popen(
        [sys.executable, "-c", script, "200", str(reading)],
        stdout=subprocess.PIPE,
        stderr=writing,
        pass_fds=[reading],
        cwd=ROOT,
    )
    os.close(reading)
    os.close(writing)
    out, _ = process.communicate(timeout=WAIT)
    assert out == b"written\nended\n"


def test_no_log_at_all_stops_nothing() -> None:
    command = f'exec "{sys.executable}" -c "$PROGRAM" 10 2>&-'
    environment = os.environ | {"PROGRAM": PROGRAM}
    done = subprocess.run(
        ["sh", "-c", command], env=environment, stdout=subprocess.PIPE, timeout=WAIT, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (0, b"written\nended\n")


def test_a_flood_of_requests_leaves_room_for_the_rest() -> None:
    reading, writing = os.pipe()
    lines = Lines(writing, room=400 * 1024)
    line = b"x" * 1023 + b"\n"
    taken = sum(lines.put(line * 10, 10) for _ in range(100))
    assert 30 <= taken < 100
    assert not lines.put(line * 10, 10)
    text = "error" * 1000 + "\n"
    assert lines.write(text) == len(text)
    read = b""
    while not read.endswith(text.encode()):
        read += os.read(reading, 65536)
    assert read.count(line) == taken * 10
    said = [json.loads(each)["lines"] for each in read.splitlines() if each.startswith(b"{")]
    assert said == [(101 - taken) * 10], "and that there was none for these"
    os.close(reading)
    assert lines.wait(WAIT)
    os.close(writing)


def test_a_descriptor_that_does_not_block() -> None:
    """Whoever shares it may have made it so; then there is no room at times, which is no error."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    lines = Lines(writing)
    written = b"".join(b"%06d\n" % number for number in range(50_000))
    assert lines.put(written, 50_000)
    read = b""
    while len(read) < len(written):
        read += os.read(reading, 65536)
    assert read == written
    assert lines.wait(WAIT)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("block", [100, 20_000])
def test_lines_of_several_processes_do_not_mix(block: int) -> None:
    """Also where a pipe is full and one of them has to wait in the middle of what it writes."""
    reading, writing = os.pipe()
    script = """
import sys
from bridge.lines import Lines
lines = Lines(2)
line = sys.argv[1] * 99 + "\\n"
for _ in range(40):
    while not lines.put((line * int(sys.argv[2])).encode(), int(sys.argv[2])): lines.wait(1)
    lines.wait(20)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script, name, str(block // 100)], stderr=writing, cwd=ROOT)
        for name in "abc"
    ]
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        text = file.read()
    for process in processes:
        assert process.wait(WAIT) == 0
    lines = text.splitlines()
    assert len(lines) == 3 * 40 * (block // 100)
    assert {len(set(line)) for line in lines} == {1}


def test_lines_from_several_threads() -> None:
    reading, writing = os.pipe()
    lines = Lines(writing)

    def write(name: str) -> None:
        for _ in range(200):
            lines.write(name * 50 + "\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines.wait(WAIT)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        read = file.read().splitlines()
    assert len(read) == 600
    assert {len(set(line)) for line in read} == {1}


def test_nobody_locks_a_file_against_its_writer(tmp_path: Path) -> None:
    """As whoever may read it could: locks do not ask for more."""
    path = tmp_path / "log"
    path.touch()
    script = "import fcntl, sys; fcntl.lockf(open(sys.argv[1]), fcntl.LOCK_SH); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader, path.open("ab") as file:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"\n"
        lines = Lines(file.fileno())
        assert lines.put(b"line\n", 1)
        written = lines.wait(WAIT)
        assert reader.stdin is not None
        reader.stdin.close()
    assert written
    assert path.read_bytes() == b"line\n"
