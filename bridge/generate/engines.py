"""The engines for which there is a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bridge.generate.caddy import caddy
from bridge.generate.envoy import envoy
from bridge.generate.nginx import nginx
from bridge.generate.plan import Plan
from bridge.generate.traefik import traefik

ENGINES: Mapping[str, Callable[[Plan], str]] = {
    "nginx": nginx,
    "caddy": caddy,
    "envoy": envoy,
    "traefik": traefik,
}
