"""Engines that forward by a generated configuration: each is the real program, on loopback.

A module an engine, whose `start` writes the text of `bridge.generate` where the engine reads it, and runs the engine
until the port answers and while the block lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from tests.real.engines import caddy, envoy, nginx, traefik
from tests.support.processes import Running

ENGINES: Mapping[str, Callable[[str, Path, int], AbstractContextManager[Running]]] = {
    "nginx": nginx.start,
    "envoy": envoy.start,
    "caddy": caddy.start,
    "traefik": traefik.start,
}
