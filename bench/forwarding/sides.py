"""The proxies under test, and the platform behind them all.

Each peer does what the bridge does for a request: it knows who asks, says so to the platform in a header, and lets no
client say it. nginx alone only passes requests on: it is what the others are measured against. A peer's log is off.
"""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from bench.forwarding.machine import LOAD_CORE, PROXY_CORE, pin, program
from bridge.simulator import seed
from tests.support.processes import Running, free_port, started
from tests.support.stage import Stage, stage

ROUTE = "/courses/cybersecurity-101"
PAGE = f"{ROUTE}/page"
"""1 KiB of the platform, on a route that needs a session and an open gate."""
WHO = f"{ROUTE}/who"
PUBLIC_WHO = "/static/who"
"""Both answer with the identity that the platform was told."""
BULK = f"{ROUTE}/bulk"

LEARNER = seed.JANE
AS_SHIPPED: dict[str, Any] = {"forwarding": {"log_requests": "except_public"}}
"""The bridge as it ships, said aloud: each request below has its line in the log."""

NGINX = """
user {user}; worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 32768; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {inside}
}}
"""
PLATFORM = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = {who} {{ return 200 "$http_x_kombo_user"; }}
    location = {public_who} {{ return 200 "$http_x_kombo_user"; }}
    location = {bulk} {{ alias {folder}/bulk; }}
    location / {{ return 200 "{body}"; }}
  }}
"""
PROXY = """
  upstream platform {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://platform;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }}
  }}
"""


class Missing(Exception):
    """This machine lacks what a side needs; the text says what, and how to get it on Debian."""


@dataclass(frozen=True)
class Side:
    """One proxy under test, with the session of the learner.

    `roots` are those of its process trees. `identifies` says that it tells the platform who asks. Its `log`, if it has
    one, has a line for each request.
    """

    name: str
    url: str
    roots: tuple[int, ...]
    headers: tuple[str, ...] = ()
    identifies: bool = True
    log: Path | None = None

    @property
    def session(self) -> dict[str, str]:
        return dict(header.split(": ", 1) for header in self.headers)


def needed(name: str, package: str) -> str:
    """Where a program is. Raises `Missing`."""
    path = program(name)
    if path is None:
        raise Missing(f"{name} is missing: {package}")
    return path


@contextmanager
def nginx(folder: Path, name: str, inside: str, port: int) -> Iterator[Running]:
    """An nginx of one worker whose `http` block holds `inside`, in a folder of its own below `folder`."""
    home = Path(mkdtemp(prefix=f"{name}-", dir=folder))
    config = home / "nginx.conf"
    config.write_text(NGINX.format(user=getpass.getuser(), folder=home, inside=inside))
    command = [needed("nginx", "apt-get install nginx-light"), "-c", str(config), "-p", str(home)]
    with started(command, home / "log") as running:
        running.wait_for_port(port)
        yield running


@contextmanager
def platform(folder: Path, bulk_bytes: int) -> Iterator[Side]:
    """What stands behind every side, on the load's core. The bulk is of zeros and takes no disk."""
    port = free_port()
    with (folder / "bulk").open("wb") as file:
        file.truncate(bulk_bytes)
    inside = PLATFORM.format(port=port, folder=folder, body="x" * 1024, who=WHO, public_who=PUBLIC_WHO, bulk=BULK)
    with nginx(folder, "platform", inside, port) as running:
        pin([running.process.pid], LOAD_CORE)
        yield Side("platform", f"http://127.0.0.1:{port}", (running.process.pid,), identifies=False)


@contextmanager
def plain_nginx(folder: Path, upstream: str) -> Iterator[Side]:
    port = free_port()
    with nginx(folder, "nginx", PROXY.format(port=port, upstream=upstream.removeprefix("http://")), port) as running:
        pin([running.process.pid], PROXY_CORE)
        yield Side("nginx", f"http://127.0.0.1:{port}", (running.process.pid,), identifies=False)


@asynccontextmanager
async def bridge(
    folder: Path,
    upstream: str,
    *,
    workers: int = 1,
    cores: Sequence[int] = (PROXY_CORE,),
    around: Sequence[str] = (),
) -> AsyncIterator[tuple[Stage, Side]]:
    """The service as a platform runs it, after a real login by SAML."""
    home = Path(mkdtemp(prefix="bridge-", dir=folder))
    async with stage(home, "--workers", str(workers), around=around, upstream=upstream, **AS_SHIPPED) as running:
        root = running.bridge.process.pid
        pin([root], *cores)
        name = "bridge" if workers == 1 else f"bridge, {workers} workers"
        yield running, Side(name, running.origin, (root,), (await sign_in(running),), log=running.bridge.log)


async def sign_in(running: Stage) -> str:
    """A real launch at the running bridge; returns the header that a browser sends from then on."""
    async with running.browser() as browser:
        answer = await browser.launch("acme", LEARNER, PAGE)
        assert answer.status_code == 200, f"the bridge did not let the learner in: {answer.text}"
        return "Cookie: " + "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
