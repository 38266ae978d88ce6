"""`kombo-bridge simulate kombo` as its users run it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from bridge.simulator.seed import ACME, ORGANIZATIONS


@contextmanager
def simulate(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bridge", "simulate", "kombo", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_first_line_says_all_that_a_script_needs(number: signal.Signals, code: int) -> None:
    with simulate("--json") as process:
        assert process.stdout
        line = json.loads(process.stdout.readline())
        assert set(line) == {"base_url", "api_key", "integrations"}
        assert line["integrations"] == list(ORGANIZATIONS)
        headers = {"Authorization": f"Bearer {line['api_key']}", "X-Integration-Id": line["integrations"][0]}
        answer = httpx.get(f"{line['base_url']}/lms/users", headers=headers, trust_env=False)
        assert answer.json()["status"] == "success"
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (code, "")


def test_as_large_and_as_slow_to_show_as_one_likes() -> None:
    url, secret = "http://127.0.0.1:9/hook", "a secret"
    size = ("--people", "1000", "--progressions", "5000", "--courses", "10")
    webhooks = ("--webhook-url", url, "--webhook-secret", secret)
    with simulate("--json", *size, "--sync-every", "600", *webhooks) as process:
        assert process.stdout
        line = json.loads(process.stdout.readline())
        assert line["webhook_secret"] == secret
        headers = {"Authorization": f"Bearer {line['api_key']}", "X-Integration-Id": ACME}
        with httpx.Client(base_url=line["base_url"], headers=headers, trust_env=False) as client:
            rows = client.get("/lms/users", params={"page_size": 250}).json()["data"]["results"]
            assert len(rows) == 250
            control = line["base_url"].removesuffix("/v1") + "/_control"
            changed = {"integration": ACME, "first_name": "Else"}
            client.patch(f"{control}/users/{rows[200]['id']}", json=changed)
            rows = client.get("/lms/users", params={"ids": rows[200]["id"]}).json()["data"]["results"]
            assert rows[0]["first_name"] != "Else"


def test_a_webhook_url_alone_gets_a_secret_of_its_own() -> None:
    with simulate("--json", "--webhook-url", "http://127.0.0.1:9/") as process:
        assert process.stdout
        assert len(json.loads(process.stdout.readline())["webhook_secret"]) >= 32


def test_progressions_of_nobody_are_said_in_one_line() -> None:
    with simulate("--progressions", "5") as process:
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "--people" in errors


def test_for_people() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with simulate("--port", str(port)) as process:
        assert process.stdout
        text = ""
        while "Ctrl-C" not in text:
            text += process.stdout.readline()
        assert f"http://127.0.0.1:{port}/v1" in text
        assert ACME in text


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with simulate("--port", str(port)) as process:
            _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert f"127.0.0.1:{port}" in errors
    assert "--port" in errors
