"""What one generation of settings says about requests, compiled; replaced as a whole at a reload."""

from __future__ import annotations

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.front import queries
from bridge.front.cookies import TENANT, Cookies
from bridge.front.paths import PathDecider
from bridge.front.places import Place, Places
from bridge.front.routes import RouteTable
from bridge.settings.model import Configuration, Tenant


class Rules:
    """Routes, places and tenants of one configuration."""

    def __init__(self, configuration: Configuration, cookies: Cookies) -> None:
        self.configuration = configuration
        self.paths = PathDecider(RouteTable(configuration.service.routes, configuration.service.completions))
        self.places = Places(configuration)
        self._cookies = cookies

    def tenant(self, slug: str) -> Tenant:
        """Raises `Refusal`: `tenant_unavailable` where its file has never been valid, else `tenant_unknown`."""
        if tenant := self.configuration.tenants.get(slug):
            return tenant
        if slug in self.configuration.broken:
            raise Refusal(Code.TENANT_UNAVAILABLE, f"the file of the tenant {slug} has never been valid")
        raise Refusal(Code.TENANT_UNKNOWN, f"there is no tenant {slug[:63]!r}")

    def named(self, head: Head) -> Tenant | None:
        """The tenant that the link names by `tenant_parameter`.

        Raises `Refusal`: `path_ambiguous` where it names several, else as `tenant`.
        """
        slug = queries.parameter(head.query, self.configuration.service.tenant_parameter) if head.query else None
        return self.tenant(slug) if slug else None

    def discover(self, head: Head, place: Place) -> Tenant | None:
        """Whose login to start: the host's tenant, the link's, the last one here; None where a person must say.

        Raises `Refusal` as `named`.
        """
        if tenant := place.tenant or self.named(head):
            return tenant
        return self.configuration.tenants.get(self._cookies.all(head).get(TENANT, ""))

    def of_email(self, email: str) -> Tenant | None:
        """The tenant of a work email's domain; None where no tenant has it."""
        _, at, domain = email.strip().rpartition("@")
        return self.configuration.by_domain.get(domain.lower()) if at else None

    def login_url(self, tenant: Tenant, query: str = "") -> str:
        """Where the tenant's login starts: on the origin that has its ACS."""
        origin = self.configuration.login_origin(tenant)
        return f"{origin}/_bridge/saml/{tenant.slug}/login" + (f"?{query}" if query else "")
