"""Traefik, from its wheel."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from bridge.generate.traefik import FILE
from tests.real.engines.wheels import program
from tests.support.processes import START_SECONDS, Running, started

_NO_ROUTES_YET = b"404 page not found\n"


@contextlib.contextmanager
def start(text: str, folder: Path, port: int) -> Iterator[Running]:
    (folder / FILE).write_text(text)
    command = [program("traefik"), f"--configFile={FILE}"]
    with started(command, folder / "traefik.log", cwd=folder) as running:
        running.wait_for_port(port)
        _wait_for_routes(running, port, secure="tls: {}" in text)
        yield running


def _wait_for_routes(running: Running, port: int, *, secure: bool) -> None:
    """It listens a moment before it knows its routes and certificates, and until then answers with a 404 of its own."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), contextlib.closing(_connection(port, secure)) as connection:
            connection.request("GET", "/_bridge/jwks.json")
            if connection.getresponse().read() != _NO_ROUTES_YET:
                return
        time.sleep(0.05)
    raise AssertionError(f"Traefik never came to know its routes:\n{running.text()}")


def _connection(port: int, secure: bool) -> http.client.HTTPConnection:
    if not secure:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    context = ssl._create_unverified_context()
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
