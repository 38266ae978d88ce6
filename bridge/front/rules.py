"""What one generation of settings says about requests, compiled; replaced as a whole at a reload."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.front import queries
from bridge.front.classes import PathClass, classes_id, path_classes
from bridge.front.cookies import TENANT, Cookies
from bridge.front.logins import login_path
from bridge.front.paths import PathDecider
from bridge.front.places import Place, Places
from bridge.front.routes import RouteTable
from bridge.launches.trail import Found
from bridge.settings.model import Configuration, Tenant
from bridge.stamp.headers import NAMES, listed


class Rules:
    """Routes, places and tenants of one configuration."""

    def __init__(self, configuration: Configuration, cookies: Cookies) -> None:
        self.configuration = configuration
        self.paths = PathDecider(RouteTable(configuration.service.routes, configuration.service.completions))
        self.places = Places(configuration)
        self.keeps_fragments = configuration.service.keep_fragment
        self.former_acs = _former_acs(configuration)
        self._cookies = cookies

    @cached_property
    def classes_id(self) -> str:
        """By which it is known whether an engine that keeps answers still goes by these routes."""
        return classes_id(classes(self.configuration), self.configuration.service.tenant_parameter)

    @cached_property
    def written_names(self) -> bytes:
        """By which it is known whether an engine still knows all identity headers."""
        return listed((*NAMES, *self.configuration.service.headers)).encode()

    def tenant(self, slug: str) -> Tenant:
        """Raises `Refusal`: `tenant_unavailable` where there is one that cannot be served, else `tenant_unknown`."""
        if tenant := self.configuration.tenants.get(slug):
            return tenant
        if error := self.configuration.broken.get(slug):
            raise Refusal(Code.TENANT_UNAVAILABLE, f"the tenant {slug} cannot be served: {error}")
        raise Refusal(Code.TENANT_UNKNOWN, f"there is no tenant {slug[:63]!r}")

    def named(self, head: Head) -> Tenant | None:
        """The tenant that the link names by `tenant_parameter`.

        Raises `Refusal`: `path_ambiguous` where it names several, else as `tenant`.
        """
        slug = queries.parameter(head.query, self.configuration.service.tenant_parameter) if head.query else None
        return self.tenant(slug) if slug else None

    def discover(self, head: Head, place: Place) -> tuple[Tenant, Found] | None:
        """Whose login to start: the host's tenant, the link's, the last one here; None where a person must say.

        Raises `Refusal` as `named`.
        """
        if place.tenant:
            return place.tenant, "host"
        if tenant := self.named(head):
            return tenant, "link"
        last = self.configuration.tenants.get(self._cookies.all(head).get(TENANT, ""))
        return (last, "browser") if last else None

    def of_email(self, email: str) -> Tenant | None:
        """The tenant of a work email's domain; None where no tenant has it."""
        _, at, domain = email.strip().rpartition("@")
        return self.configuration.by_domain.get(domain.lower()) if at else None

    def is_login_place(self, head: Head, tenant: Tenant) -> bool:
        """Whether a request is for the origin that has the tenant's ACS and SLO."""
        place = self.places.at(head.get(b"host"))
        return place is not None and place.origin == self.configuration.login_origin(tenant)

    def login_url(self, tenant: Tenant, **fields: str) -> str:
        """Where the tenant's login starts, with a query of the fields: on the origin that has its ACS."""
        return self.configuration.login_origin(tenant) + login_path(tenant, **fields)


def classes(configuration: Configuration) -> tuple[PathClass, ...]:
    """Which paths are let in alike under this configuration."""
    service = configuration.service
    return path_classes(service.routes, service.completions, doors(configuration))


def doors(configuration: Configuration) -> tuple[str, ...]:
    """The paths outside `/_bridge/` that are the bridge's own: the ACS of older service providers."""
    return tuple(dict.fromkeys(path.decode() for _, path in _former_acs(configuration)))


def _former_acs(configuration: Configuration) -> Mapping[tuple[str, bytes], tuple[Tenant, ...]]:
    """The tenants of each ACS of an older service provider, by origin and path; several may share one."""
    found: dict[tuple[str, bytes], tuple[Tenant, ...]] = {}
    for tenant in configuration.tenants.values():
        if url := tenant.party.former_acs:
            key = _origin_and_path(url)
            found[key] = (*found.get(key, ()), tenant)
    return found


def _origin_and_path(url: str) -> tuple[str, bytes]:
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    return f"{scheme}://{authority}", b"/" + path.encode()
