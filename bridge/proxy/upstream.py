"""Connections to the platform."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, cast

from bridge.errors import Code, Refusal
from bridge.proxy.deadlines import NEVER, Deadlines
from bridge.proxy.headers import HeaderPolicy
from bridge.proxy.limits import Limits
from bridge.proxy.recorder import UPSTREAM, UPSTREAM_IDLE, Recorder
from bridge.settings.addresses import Upstream

if TYPE_CHECKING:
    from bridge.proxy.sending import Sending


class UpstreamConnection(asyncio.Protocol):
    """One connection to the platform: idle in the pool, or working for one `relay`."""

    transport: asyncio.Transport

    def __init__(self, pool: UpstreamPool) -> None:
        self.pool = pool
        self.relay: Sending | None = None
        self.used = False
        self.idle_since = 0.0
        self.write_paused = False
        self.read_paused = False

    @property
    def clean(self) -> bool:
        """Whether nothing of the last exchange is left in it."""
        return (
            not self.write_paused
            and not self.read_paused
            and not self.transport.is_closing()
            and self.transport.get_write_buffer_size() == 0
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.pool.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.relay is not None:
            self.relay.platform_sent(data)
        else:
            self.transport.abort()  # nobody asked: whatever it is, it must not answer the next request

    def eof_received(self) -> None:
        """It says no more. What is still on its way to it is for nobody, and must not turn this end into a reset."""
        relay, self.relay = self.relay, None
        if relay is not None:
            relay.platform_gone(None)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.lost(self)
        relay, self.relay = self.relay, None
        if relay is not None:  # nor was an end received: TLS that was broken off, where the loop can tell
            relay.platform_gone(exc or ConnectionAbortedError())

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.relay is not None:
            self.relay.platform_full()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.relay is not None:
            self.relay.platform_drained()

    def hold(self) -> None:
        """Stop reading: the client cannot take more."""
        if not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.read_paused:
            self.read_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def drop(self) -> None:
        """Close at once, whatever is still to be sent; the relay does not hear of it."""
        self.relay = None
        self.transport.abort()


class UpstreamPool:
    """Opens connections to the platform and keeps unused ones for the next request.

    A connection comes back only after both messages on it ended exactly; the relay sees to that. `tls` replaces the
    default context, which verifies certificate and name against the system's authorities; `name` is what the
    certificate must say, where that is not the host.
    """

    def __init__(
        self,
        upstream: Upstream,
        policy: HeaderPolicy,
        limits: Limits | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.upstream = upstream
        self.policy = policy
        self.limits = limits or Limits()
        self.recorder = recorder or Recorder()
        self._counts = self.recorder.counts
        self.recorder.measured(UPSTREAM_IDLE, lambda: len(self._idle))
        self.closing = False
        self.deadlines = Deadlines(self.limits.tick)
        self._tls = (tls or ssl.create_default_context()) if upstream.scheme == "https" else None
        self._name = name or upstream.host
        self._open: set[UpstreamConnection] = set()
        self._dialling: set[UpstreamConnection] = set()
        self._idle: OrderedDict[UpstreamConnection, None] = OrderedDict()  # the most recently used last
        self.deadline = NEVER  # of the unused connection that has been so for longest

    def take(self, *, repeatable: bool) -> UpstreamConnection | None:
        """The unused connection that was in use last, if there is one.

        The platform may be closing it right now. A request that cannot be repeated takes only one that is fresh.
        """
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.transport.is_closing():
                continue
            if not repeatable and time.monotonic() - connection.idle_since > self.limits.upstream_fresh:
                self._idle[connection] = None
                return None
            return connection
        return None

    def give(self, connection: UpstreamConnection) -> None:
        """Keep a connection on which nothing is under way."""
        connection.relay = None
        connection.used = True
        if len(self._idle) >= self.limits.upstream_idle:
            self._drop_oldest()
        now = connection.idle_since = time.monotonic()
        self._idle[connection] = None
        if self.deadline == NEVER:
            self.deadline = now + self.limits.upstream_keep_alive

    async def connect(self) -> UpstreamConnection:
        """A new connection. Raises `Refusal` (`upstream_unavailable`) where there is none within `limits.connect`."""
        most = self.limits.upstream_connections
        if len(self._open) + len(self._dialling) >= most:
            if not self._idle:
                self.recorder.failed("connections")
                reason = f"all {most} connections that `forwarding.upstream_connections` allows are in use"
                raise Refusal(Code.UPSTREAM_UNAVAILABLE, reason)
            self.lost(self._drop_oldest())  # it is kept for others, and too old for this request
        connection = UpstreamConnection(self)
        self._dialling.add(connection)
        try:
            async with asyncio.timeout(self.limits.connect):
                await self._dial(connection)
                return connection
        except TimeoutError:
            self.recorder.failed("connect_timeout")
            reason = f"no connection to {self.upstream} within {self.limits.connect:g} s"
            raise Refusal(Code.UPSTREAM_UNAVAILABLE, reason) from None
        except OSError as error:
            self.recorder.failed("connect")
            raise Refusal(Code.UPSTREAM_UNAVAILABLE, f"no connection to {self.upstream}: {error}") from error
        finally:
            self._dialling.discard(connection)

    async def _dial(self, connection: UpstreamConnection) -> None:
        loop, to = asyncio.get_running_loop(), self.upstream
        if to.scheme == "unix":
            await loop.create_unix_connection(lambda: connection, to.path)
        else:
            name = self._name if self._tls else None
            await loop.create_connection(lambda: connection, to.host, to.port, ssl=self._tls, server_hostname=name)

    @property
    def relays(self) -> list[Sending]:
        """What is under way on the connections."""
        return [connection.relay for connection in self._open if connection.relay is not None]

    def opened(self, connection: UpstreamConnection) -> None:
        if not self._open:
            self.deadlines.add(self)
        self._dialling.discard(connection)
        self._open.add(connection)
        self._counts[UPSTREAM] = len(self._open)

    def lost(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)
        self._counts[UPSTREAM], self._counts[UPSTREAM_IDLE] = len(self._open), len(self._idle)
        if not self._open:
            self.deadlines.discard(self)

    def expire(self, now: float) -> None:
        """Close what has been unused for too long."""
        self.deadline = NEVER
        while self._idle:
            ends = next(iter(self._idle)).idle_since + self.limits.upstream_keep_alive
            if ends > now:
                self.deadline = ends
                break
            self._drop_oldest()

    def _drop_oldest(self) -> UpstreamConnection:
        """Close the connection that is unused for longest."""
        connection, _ = self._idle.popitem(last=False)
        connection.drop()
        return connection

    async def close(self) -> None:
        """Close every connection. Answers still on their way are cut, so that none looks complete."""
        self.closing = True
        for connection in list(self._open):
            relay = connection.relay
            connection.drop()
            if relay is not None:
                relay.platform_gone(ConnectionAbortedError())
        await asyncio.sleep(0)
        self.recorder.settle()
