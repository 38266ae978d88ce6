"""An application served inside somebody else's event loop: the internal listener, the simulator, the demo."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

OPTIONS: dict[str, Any] = {
    "ws": "none",
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,
    "log_config": None,
}
"""What is the same for every server of ours. Forwarding headers are ours to judge, and the log is set up elsewhere."""


class _Server(uvicorn.Server):
    """Signals belong to whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, sock: socket.socket, **options: Any) -> AsyncIterator[None]:
    """Serve `app` on a bound socket while the block lasts; `options` are further ones of `uvicorn.Config`."""
    server = _Server(uvicorn.Config(app, **OPTIONS, **options))
    task = asyncio.create_task(server.serve([sock]))
    try:
        while not (server.started or task.done()):  # noqa: ASYNC110  # uvicorn has a flag, no event
            await asyncio.sleep(0.005)
        if task.done():
            await task
        yield
    finally:
        server.should_exit = True
        await task
