"""How forwarding is set."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from bridge.settings.frozen import Frozen
from bridge.settings.values import Count, Duration, HeadBytes, HostName, SettingPath

LogRequests = Literal["none", "except_public", "all"]


class Forwarding(Frozen):
    """How long forwarding waits, how much it takes, and what it logs. The defaults suit most platforms."""

    connect: Duration = timedelta(seconds=5)
    """How long a new connection to the platform may take, TLS included; then the learner is told 502."""
    first_byte: Duration = timedelta(seconds=60)
    """How long the platform may take to begin its answer; then the learner is told 504."""
    idle: Duration = timedelta(minutes=5)
    """How long an answer, an event stream or a WebSocket may be silent in both directions before it is cut."""
    head: Duration = timedelta(seconds=15)
    """How long a client may take to send the head of a request."""
    body: Duration = timedelta(seconds=60)
    """How long a client may send nothing of a request's body that it began."""
    keep_alive: Duration = timedelta(seconds=75)
    """How long a client's connection is kept without a request."""
    shutdown: Duration = timedelta(seconds=30)
    """How long what runs may go on when the service is told to stop; then it is cut."""
    connections: Count = 20_000
    """How many connections of clients each worker has at most."""
    upstream_connections: Count = 20_000
    """How many connections to the platform each worker has at most; beyond them the learner is told 502."""
    upstream_idle: Count = 128
    """How many of them each worker keeps unused for the next request."""
    upstream_keep_alive: Duration = timedelta(seconds=30)
    """How long it keeps them. Shorter than the platform's own limit, or some requests meet a closed connection."""
    target_bytes: HeadBytes = 8 * 1024
    """The longest path with query; above it 414."""
    head_bytes: HeadBytes = 64 * 1024
    """The largest head of a request or an answer; above it 431, or 502."""
    head_fields: Count = 100
    """The most headers in one; above it likewise."""
    upstream_ca: SettingPath | None = Field(default=None, examples=["platform-ca.pem"])
    """A PEM file of the authorities that an https platform's certificate is verified against, in place of the
    system's."""
    upstream_name: HostName | None = None
    """The name that an https platform's certificate must have, where that is not the host in `upstream`."""
    log_requests: LogRequests = "except_public"
    """Which requests have a line in the log: `none`, `except_public` (all but those on public routes) or `all`."""
