"""uvicorn, started and stopped our way."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from bridge.errors import BridgeError
from bridge.proxy.inside import InsideProtocol
from bridge.proxy.limits import Limits
from bridge.proxy.protocol import BridgeProtocol
from bridge.serving import OPTIONS, serving
from bridge.settings.addresses import Address

PROTOCOL = "bridge.proxy.protocol:BridgeProtocol"
_BACKLOG = 2048
_INTERNAL_SHUTDOWN = 5
_INTERNAL_KEEP_ALIVE = 75  # longer than an engine keeps a connection unused, or it may ask on one that is closing


class BridgeServer(uvicorn.Server):
    """Exits with 0 when it was told to stop and did, and leaves no answer looking complete that is not."""

    async def _serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super()._serve(sockets)
        self._captured_signals.clear()  # uvicorn would raise them again, for an exit code of 143

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if isinstance(connection, BridgeProtocol):
                connection.cut()
                connection.pool.recorder.settle()


class Worker(multiprocess.Process):
    """uvicorn's, with our server in it."""

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = BridgeServer(self.config)
        return self._server


def serve(factory: str, listen: Address, workers: int = 1, limits: Limits | None = None) -> int:
    """Serve until told to stop; returns the exit code.

    `factory` is the import string of what makes the application, in each worker for itself; its lifespan state has the
    `decider` and the `upstream`. Raises `BridgeError` where the address cannot be had.
    """
    limits = limits or Limits()
    config = uvicorn.Config(
        factory,
        factory=True,
        http=PROTOCOL,
        lifespan="on",
        workers=workers,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=round(limits.shutdown),
        **OPTIONS,
    )
    sock = listener(listen)
    if workers == 1:
        server = BridgeServer(config)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # as nohup does not leave it
            signal.signal(signal.SIGHUP, server.handle_exit)
        try:
            server.run([sock])
        except KeyboardInterrupt:
            return 0
        except SystemExit as stopped:  # a failed start, which uvicorn has logged
            return stopped.code if isinstance(stopped.code, int) else 1
        return 0 if server.started else 1
    multiprocess.Process = Worker  # type: ignore[misc]  # the supervisor has no other place to say so
    supervisor = multiprocess.Multiprocess(config, sockets=[sock])
    supervisor.run()
    return 1 if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0


@contextlib.asynccontextmanager
async def serve_internal(app: ASGIApp, listen: Address) -> AsyncIterator[Address]:
    """Serve `app` on an address of its own while the context is open; yields that address, with the port chosen.

    Raises `BridgeError` where the address cannot be had.

    For the lifespan of another application: each worker opens the same address for itself, and the kernel spreads
    connections over them. An application of its own never answers what belongs on another listener.
    """
    sock = listener(listen, shared=True)
    options = {
        "lifespan": "off",
        "backlog": _BACKLOG,
        "timeout_graceful_shutdown": _INTERNAL_SHUTDOWN,
        "timeout_keep_alive": _INTERNAL_KEEP_ALIVE,
    }
    async with serving(app, sock, http=InsideProtocol, **options):
        host, port = sock.getsockname()[:2]
        yield Address(host, port)


def try_both(public: Address, internal: Address) -> None:
    """Raises `BridgeError` where the two listeners cannot be had, or not beside each other.

    The kernel lets sockets share an address that do not listen yet: what is meant for the public listener would then
    reach the internal one, and nobody would say so.
    """
    with contextlib.closing(listener(public)) as sock:
        sock.listen()
        listener(internal, shared=True).close()


def listener(address: Address, *, shared: bool = False) -> socket.socket:
    """A bound socket. With `shared`, other processes of the same user may bind the address too.

    Raises `BridgeError` where the address cannot be had.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BridgeError(f"cannot listen on {address}: {error}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(target)
        sock.set_inheritable(True)
    except OSError as error:
        sock.close()
        raise BridgeError(
            f"cannot listen on {address}: {error.strerror}; choose another address or stop what has it"
        ) from error
    return sock
