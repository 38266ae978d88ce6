"""Every size and time limit of forwarding."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Self

from bridge.settings.forwarding import Forwarding


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are seconds, sizes bytes.

    What a request may be:

    * `target_bytes` of its target, else 414; `head_bytes` and `head_fields` of its head, else 431 (also of an answer's
      head, else 502, and of what stands around a chunked body: extensions and trailers);
    * `answer_body_bytes` of a body that one of our own applications reads, else 413. A forwarded body has no limit;
    * `held_bytes` wait in memory for a decision, a connection or an earlier request; then the socket is not read;
    * `queued` pipelined requests wait behind the running one; further ones are dropped and the connection closed in
      order.

    How many connections one process has: `connections` to clients, `upstream_connections` to the platform, of which
    `upstream_idle` are kept unused for `upstream_keep_alive`. A request that cannot be repeated takes an unused
    connection only within `upstream_fresh` of its last use: the platform may be closing an older one right now.

    How long things take: `keep_alive` until the first or the next request begins, `head` until it is there, `body`
    without a byte of its body; `connect` to the platform, TLS included; `first_byte` until it answers; `idle` without a
    byte in either direction from then on; `own` for what the bridge itself has to find out or say: a decision, a
    witness's work, an answer of its own; `linger` to let a client read a refusal while it is still sending; `shutdown`
    for what runs when the service is told to stop.
    """

    target_bytes: int = 8 * 1024
    head_bytes: int = 64 * 1024
    head_fields: int = 100
    answer_body_bytes: int = 1024 * 1024
    held_bytes: int = 64 * 1024
    queued: int = 8

    connections: int = 20_000
    upstream_connections: int = 20_000
    upstream_idle: int = 128

    keep_alive: float = 75.0
    head: float = 15.0
    body: float = 60.0
    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 300.0
    own: float = 300.0
    upstream_keep_alive: float = 30.0
    upstream_fresh: float = 1.0
    linger: float = 2.0
    shutdown: float = 30.0

    @classmethod
    def of(cls, settings: Forwarding) -> Self:
        """Those that the settings say, and the defaults of the others."""
        said: dict[str, Any] = {}
        for name in (each.name for each in fields(cls) if hasattr(settings, each.name)):
            value = getattr(settings, name)
            said[name] = value.total_seconds() if isinstance(value, timedelta) else value
        return cls(**said)

    @property
    def tick(self) -> float:
        """How often deadlines are looked at: a quarter of the shortest, and at most every second."""
        return min(
            1.0, self.keep_alive / 4, self.head / 4, self.body / 4, self.first_byte / 4, self.idle / 4, self.linger / 4
        )
