"""Whatever somebody saved is read as what the IdP posted, or refused in a sentence; hostile files are explained."""

from __future__ import annotations

import base64
import contextlib
import html
import os
import textwrap
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from bridge.errors import BridgeError
from bridge.explain.posted import MAX_BYTES, posted, read_source
from bridge.explain.text import lines
from tests.explain.desk import Desk

FILE: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("sources.yaml").read_text())


def filled(text: str, response: str) -> bytes:
    places = {
        "{xml}": base64.b64decode(response).decode(),
        "{base64}": response,
        "{lines}": "\n".join(textwrap.wrap(response, 76)),
        "{encoded}": quote(response, safe=""),
        "{html}": html.escape(response),
        "{fields}": "&a=b" * 100,
        "{names}": 'name="SAMLResponse" value="' * 40_000,
        "{inputs}": '<input name="SAMLResponse" ' * 40_000,
    }
    for place, value in places.items():
        text = text.replace(place, value)
    return text.encode()


RESPONSE = base64.b64encode(b'<samlp:Response a="~~~~????~~~~????"/>').decode()
assert "+" in RESPONSE and "/" in RESPONSE and "=" in RESPONSE


@pytest.mark.parametrize("case", FILE["same"], ids=lambda case: case["name"])
def test_the_same_response(case: dict[str, Any]) -> None:
    read = posted(filled(case["text"], RESPONSE))
    assert base64.b64decode("".join(read.split())) == base64.b64decode(RESPONSE)


@pytest.mark.parametrize("case", FILE["refused"], ids=lambda case: case["name"])
def test_refused(case: dict[str, Any]) -> None:
    with pytest.raises(BridgeError, match=case["says"]):
        posted(filled(case["text"], RESPONSE))


@pytest.mark.parametrize("case", FILE["explained"], ids=lambda case: case["name"])
async def test_explained(desk: Desk, case: dict[str, Any]) -> None:
    data = case.get("text", "").encode()
    if deep := case.get("deep"):
        data = b"<a>" * deep + b"</a>" * deep
    if large := case.get("large"):
        data = b"<a>" + b"x" * large + b"</a>"
    if case.get("latin"):
        data = "<a>\u00e4</a>".encode("latin-1")
    told = await desk.explain(posted(data))
    assert (told.passes, told.check, told.verified) == (False, case["check"], False)
    assert told.change is not None
    for line in lines(told, values=True):
        assert line.isprintable(), line
        assert len(line) <= 80 or " " not in line.strip(), line


def test_standard_input_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`explain --tenant acme - <&-`"""
    closed = os.open(os.devnull, os.O_RDONLY)
    os.close(closed)
    monkeypatch.setattr("bridge.explain.posted.STDIN", closed)
    with pytest.raises(BridgeError, match="cannot be read"):
        read_source("-")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(BridgeError, match="there is no file"):
            read_source(str(name))
    (tmp_path / "large").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(BridgeError, match="larger than"):
        read_source(str(tmp_path / "large"))


@pytest.fixture
def stdin() -> Any:
    """Standard input as a pipe; what is given is written into it, and it stays open unless told to end."""
    kept = os.dup(0)
    read, write = os.pipe()
    os.dup2(read, 0)
    os.close(read)
    ended = threading.Event()
    writers: list[threading.Thread] = []

    def give(data: bytes, *, end: bool) -> None:
        def work() -> None:
            with contextlib.suppress(OSError):  # nobody reads on
                _all(write, data)
            if end:
                os.close(write)
                ended.set()

        writers.append(threading.Thread(target=work, daemon=True))
        writers[-1].start()

    yield give
    os.dup2(kept, 0)
    os.close(kept)
    for writer in writers:
        writer.join(10)
    if not ended.is_set():
        os.close(write)


def _all(write: int, data: bytes) -> None:
    while data:
        data = data[os.write(write, data) :]


def test_standard_input(stdin: Any) -> None:
    stdin(b"some text", end=True)
    assert read_source("-") == b"some text"


def test_standard_input_without_an_end(stdin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.explain.posted.STDIN_SECONDS", 0.1)
    stdin(b"some text", end=False)
    with pytest.raises(BridgeError, match="did not end within"):
        read_source("-")


def test_standard_input_without_measure(stdin: Any) -> None:
    stdin(b"x" * (MAX_BYTES + 100_000), end=False)
    with pytest.raises(BridgeError, match="larger than"):
        read_source("-")
