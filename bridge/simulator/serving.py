"""Any ASGI application on an address of its own, for the demo and for tests."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

from starlette.types import ASGIApp

from bridge.hosts import authority
from bridge.serving import serving


@contextlib.asynccontextmanager
async def running(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve while the block lasts; yields the origin, such as `http://127.0.0.1:40123`. Port 0 takes a free one.

    `host` may be a name (`localhost`): it is bound where it resolves to and stays in the origin, because cookies go by
    it. Raises `OSError` where the port is taken. Requests under way at the end get one second.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        taken = listener.getsockname()[1]
        async with serving(app, listener, timeout_graceful_shutdown=1):
            yield f"http://{authority(host, taken)}"
    finally:
        listener.close()
