"""Which of our hosts a request is for. `Host` only chooses among what the settings say."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.hosts import DEFAULT_PORTS
from bridge.settings.model import Configuration, Tenant


@dataclass(frozen=True, slots=True)
class Place:
    """One of our origins; `tenant` is set where the host is a tenant's own."""

    origin: str
    tenant: Tenant | None = None


class Places:
    """The public URL and the tenants' own hosts, by what a Host header may say for them."""

    def __init__(self, configuration: Configuration) -> None:
        self._by_host: dict[bytes, Place] = {}
        scheme, _, public = configuration.service.public_url.partition("://")
        self._default = f":{DEFAULT_PORTS[scheme]}"
        for host, tenant in configuration.by_host.items():
            self._add(host, Place(f"{scheme}://{host}", tenant))
        self._add(public, Place(configuration.service.public_url))

    def _add(self, host: str, place: Place) -> None:
        """A host is known with and without the scheme's default port."""
        self._by_host[host.encode()] = place
        name = host.removesuffix(self._default)
        if name.endswith("]") or ":" not in name:
            self._by_host[name.encode()] = place
            self._by_host[f"{name}{self._default}".encode()] = place

    def at(self, host: bytes | None) -> Place | None:
        """The place that a Host header names, compared without case; None for any other host."""
        if host is None:
            return None
        return self._by_host.get(host) or self._by_host.get(host.lower())
