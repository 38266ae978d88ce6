"""File descriptors: each connection is one, and many systems give a process 1024 unless it asks for more."""

from __future__ import annotations

import resource

import structlog

from bridge.proxy.limits import Limits

_OWN = 256
"""What a worker opens beside connections, generously: the state, threads' own connections to it, listeners, the log."""

log = structlog.get_logger()


def needed(limits: Limits) -> int:
    """How many descriptors a worker opens when every limit on connections is reached."""
    return limits.connections + limits.upstream_connections + _OWN


def raise_limit(limits: Limits) -> int:
    """Let this process, and the workers that it starts, open as many descriptors as the system allows; returns those.

    Logs a warning where that is fewer than the limits on connections need: then clients that come while there are none
    wait unaccepted, and requests that would need a new connection to the platform get 502.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed(limits) if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):  # a system with a limit of its own beside the hard one, such as macOS
            log.warning("descriptors_not_raised", soft=soft, wanted=wanted)
    if soft != resource.RLIM_INFINITY and soft < needed(limits):
        log.warning(
            "descriptors_limited",
            allowed=soft,
            needed=needed(limits),
            hint="raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower `forwarding.connections` and"
            " `forwarding.upstream_connections`",
        )
    return soft
