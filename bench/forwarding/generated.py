"""nginx by our own generated configuration: it asks the bridge who a request is from, and keeps the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.forwarding.load import told_by
from bench.forwarding.machine import PROXY_CORE, pin
from bench.forwarding.sides import AS_SHIPPED, Side, nginx, sign_in
from tests.support.processes import free_port, kombo_bridge
from tests.support.stage import stage

_MEMORY = Path("/dev/shm")
ANSWERS = _MEMORY if _MEMORY.is_dir() else None
"""Where nginx keeps them: in memory, as the generated file says, or else wherever temporary files are."""


@asynccontextmanager
async def forward_auth(folder: Path, upstream: str) -> AsyncIterator[Side]:
    """Both processes count: nginx, and the bridge that it asks. The learner signs in through nginx."""
    home, port = folder / "asked", free_port()
    home.mkdir()
    origin = f"http://127.0.0.1:{port}"
    settings = {"public_url": origin, "trusted_proxies": ["127.0.0.1/32"], **AS_SHIPPED}
    async with stage(home, upstream=upstream, **settings) as running:
        with TemporaryDirectory(dir=ANSWERS) as answers:
            options = ("--config", running.deployment.path, "--listen", f"127.0.0.1:{port}", "--cache", answers)
            inside = await told_by(*kombo_bridge("generate", "nginx", *options))
            with nginx(folder, "asking", inside, port) as asking:
                roots = (asking.process.pid, running.bridge.process.pid)
                pin(roots, PROXY_CORE)
                yield Side("nginx + cached forward-auth", origin, roots, (await sign_in(running),))
