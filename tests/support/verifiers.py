"""The documented verification in each language, as a program of its own that judges one request at a time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.needs import need

ROOT = Path(__file__).parents[2]
SNIPPETS = ROOT / "docs" / "verify"
HERE = ROOT / "tests" / "verify"
DOCUMENTED_URL = "http://127.0.0.1:8081/jwks.json"
DOCUMENTED_ISSUER = "https://learn.example.com"
STOP_SECONDS = 10

Headers = Sequence[tuple[str, str]]


def share(path: str) -> Path | None:
    """A library of the distribution's, or of those that tests/verify/libraries.sh has unpacked."""
    found = (root / "usr" / "share" / path for root in (HERE / "libraries", Path("/")))
    return next((path for path in found if path.exists()), None)


@dataclass(frozen=True)
class Language:
    """`snippet` stands in docs/verify, and is copied beside `driver` as `goes_to` says.

    `prepare` makes of the folder with both a command line, or says by `need` what is missing.
    """

    name: str
    snippet: str
    driver: str
    prepare: Callable[[Path], Sequence[str | Path]]
    goes_to: str = ""

    def start(self, folder: Path, url: str, issuer: str) -> Verifier:
        """The snippet as it stands, but for the URL of the keys and the issuer."""
        source = (SNIPPETS / self.name / self.snippet).read_text(encoding="utf-8")
        assert source.count(DOCUMENTED_URL) == source.count(DOCUMENTED_ISSUER) == 1
        copy = folder / (self.goes_to or self.snippet)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.replace(DOCUMENTED_URL, url).replace(DOCUMENTED_ISSUER, issuer), encoding="utf-8")
        shutil.copy(HERE / "drivers" / self.driver, folder)
        command = self.prepare(folder)
        return Verifier(subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def _python(folder: Path) -> Sequence[str | Path]:
    return [sys.executable, folder / "driver.py"]


def _node(folder: Path) -> Sequence[str | Path]:
    modules = HERE / "node" / "node_modules"
    need((modules / "jose").exists() and shutil.which("node"), "node, and `npm ci --prefix tests/verify/node`")
    (folder / "node_modules").symlink_to(modules)
    return ["node", folder / "driver.mjs"]


def _java(folder: Path) -> Sequence[str | Path]:
    jars = [share(f"java/{name}.jar") for name in ("jose4j", "slf4j-api", "slf4j-nop")]
    need(all(jars) and shutil.which("javac"), "javac and jose4j: tests/verify/libraries.sh")
    path = os.pathsep.join([str(folder), *map(str, jars)])
    _run(["javac", "-cp", path, "-d", folder, folder / "Identity.java", folder / "Driver.java"])
    return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", path, "Driver"]


def _go(folder: Path) -> Sequence[str | Path]:
    libraries = share("gocode/src/github.com/golang-jwt/jwt/v5")
    need(libraries and shutil.which("go"), "go and golang-jwt 5: tests/verify/libraries.sh")
    assert libraries
    path = os.pathsep.join([str(folder), str(libraries.parents[4])])
    _run(["go", "build", "-o", folder / "driver", folder / "main.go"], GO111MODULE="off", GOPATH=path, CGO_ENABLED="0")
    return [folder / "driver"]


def _php(folder: Path) -> Sequence[str | Path]:
    libraries = share("php/Lcobucci/JWT")
    need(libraries and shutil.which("php"), "php and lcobucci/jwt: tests/verify/libraries.sh")
    loaded = subprocess.run(["php", "-m"], capture_output=True, text=True, timeout=30, check=True).stdout.split()
    need("apcu" in loaded, "php-apcu")
    assert libraries
    return ["php", "-d", "apc.enable_cli=1", folder / "driver.php", libraries.parents[1]]


def _ruby(folder: Path) -> Sequence[str | Path]:
    gems = share("rubygems-integration/all/gems") or Path("nowhere")
    libraries = sorted(gems.glob("jwt-*/lib"))
    need(libraries and shutil.which("ruby"), "ruby and the gem jwt: tests/verify/libraries.sh")
    return ["ruby", "-I", libraries[-1], folder / "driver.rb"]


LANGUAGES = (
    Language("python", "identity.py", "driver.py", _python),
    Language("node", "identity.mjs", "driver.mjs", _node),
    Language("java", "Identity.java", "Driver.java", _java),
    Language("go", "identity.go", "main.go", _go, "src/identity/identity.go"),
    Language("php", "identity.php", "driver.php", _php),
    Language("ruby", "identity.rb", "driver.rb", _ruby),
)


def _run(command: Sequence[str | Path], **environment: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Verifier:
    """A program that runs."""

    process: subprocess.Popen[str]

    def judge(self, headers: Headers) -> dict[str, Any]:
        """`{"claims": …}` or `{"refused": why}`."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(headers) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the program has ended"
        return dict(json.loads(line))

    def stop(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def verifying(language: Language, folder: Path, url: str, issuer: str = DOCUMENTED_ISSUER) -> Iterator[Verifier]:
    verifier = language.start(folder, url, issuer)
    try:
        yield verifier
    finally:
        verifier.stop()


@dataclass
class Jwks:
    """A JWK set that is served as the bridge does it. `asked` counts; `broken` answers 500."""

    keys: list[Mapping[str, str]]
    url: str = ""
    asked: int = 0
    broken: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self) -> tuple[int, bytes]:
        with self._lock:
            self.asked += 1
            return (500, b"no") if self.broken else (200, json.dumps({"keys": self.keys}).encode())


@contextlib.contextmanager
def served(keys: Sequence[Mapping[str, str]]) -> Iterator[Jwks]:
    """Over real HTTP, in a thread."""
    jwks = Jwks(list(keys))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = jwks.answer()
            self.send_response(status)
            self.send_header("Content-Type", "application/jwk-set+json")
            self.send_header("Cache-Control", "public, max-age=300")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        jwks.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield jwks
        finally:
            server.shutdown()
            thread.join()
