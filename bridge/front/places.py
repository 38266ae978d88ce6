"""Which of our hosts a request is for. `Host` only chooses among what the settings say."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

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
        public = configuration.service.public_url
        scheme = urlsplit(public).scheme
        for host, tenant in configuration.by_host.items():
            self._add(Place(f"{scheme}://{host}", tenant))
        self._add(Place(public))

    def _add(self, place: Place) -> None:
        parts = urlsplit(place.origin)
        self._by_host[parts.netloc.encode()] = place
        if parts.port in (None, DEFAULT_PORTS[parts.scheme]):
            host = parts.netloc.removesuffix(f":{parts.port}").encode()
            self._by_host |= {host: place, b"%s:%d" % (host, DEFAULT_PORTS[parts.scheme]): place}

    def at(self, host: bytes | None) -> Place | None:
        """The place that a Host header names, compared without case; None for any other host."""
        if host is None:
            return None
        return self._by_host.get(host) or self._by_host.get(host.lower())
