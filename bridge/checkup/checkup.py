"""Looking at every tenant at once, within limits, so that none of them spoils the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

import httpx

from bridge.checkup import kombo, metadata
from bridge.checkup.findings import LEVELS, Finding, of_broken, of_endings, of_tenant
from bridge.checkup.known import Known
from bridge.checkup.kombo import KomboAnswer
from bridge.checkup.metadata import Metadata
from bridge.checkup.needs import Need, needs
from bridge.checkup.report import Report
from bridge.errors import StateError
from bridge.idps.fetch import Fetcher
from bridge.keys.expiry import Ending, Expiry, endings
from bridge.kombo.client import KomboClient
from bridge.settings.model import Configuration, MetadataUrl, SourceError, Tenant
from bridge.store.idps import Key
from bridge.store.integrations import Standing

AT_ONCE = 8
LONGEST_SECONDS = 45.0
"""For one tenant, whatever happens; each call has limits of its own, so that it takes less."""


@dataclass(frozen=True, slots=True)
class Result:
    """`findings` are those of no tenant."""

    reports: Sequence[Report]
    findings: Sequence[Finding]

    def count(self, level: str) -> int:
        every = [*self.findings, *(finding for report in self.reports for finding in report.findings)]
        return sum(finding.level == level for finding in every)


class Checkup:
    """Asks over `http` and `fetcher`, and writes nothing."""

    def __init__(
        self,
        configuration: Configuration,
        known: Known,
        http: httpx.AsyncClient,
        fetcher: Fetcher,
        *,
        trouble: StateError | None = None,
    ) -> None:
        """`trouble` is why the state could not be read, where it could not; `known` is empty then."""
        self._configuration = configuration
        self._known = known
        self._http = http
        self._fetcher = fetcher
        self._trouble = trouble
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._environments: dict[tuple[str, str], asyncio.Future[str]] = {}
        self._ends: dict[str | None, list[Ending]] = {}
        self._urls = {source.slug: source for source in configuration.metadata_urls}

    async def run(self, slugs: Collection[str]) -> Result:
        """Look at these tenants; a slug that there is no file of is not looked at."""
        for end in endings(self._configuration, self._known.snapshot.keys, self._known.snapshot.metadata.values()):
            self._ends.setdefault(end.tenant, []).append(end)
        broken, tenants = self._configuration.broken, self._configuration.tenants
        known = sorted(slug for slug in slugs if slug in tenants or slug in broken)
        reports = await asyncio.gather(*(self._one(slug) for slug in known))
        return Result(reports, self._of_all())

    async def _one(self, slug: str) -> Report:
        """Nothing that goes wrong with one tenant is let out; of what is unforeseen no text, which may be secret."""
        tenant = self._configuration.tenants.get(slug)
        report = Report(slug, self._known, tenant, ends=self._ends_of(tenant))
        async with self._turns:
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    return await (self._of(report, tenant) if tenant else self._of_broken(report))
            except TimeoutError:
                says = f"Looking at it has taken longer than {LONGEST_SECONDS:g} s, and was given up. Try again."
            except Exception as error:
                says = f"Looking at it has failed ({type(error).__name__}). This is a bug: report it."
        return replace(report, findings=[Finding("broken", says)])

    async def _of(self, report: Report, tenant: Tenant) -> Report:
        configuration, snapshot = self._configuration, self._known.snapshot
        pushed = tenant.integration_id in self._known.pushed
        needed = needs(configuration.service, tenant, pushed=pushed)
        answer, found = await asyncio.gather(self._ask(tenant, needed), self._look(tenant))
        past = replace(
            snapshot,
            standings=_unsaid(snapshot.standings.get(tenant.integration_id), answer),
            metadata={} if found.now else snapshot.metadata,
        )
        outdated = configuration.broken.get(tenant.slug)
        findings = [*answer.findings, *found.findings, *of_tenant(tenant, past, outdated, _own(report.ends, tenant))]
        findings += self._never_forwarded(report)
        return replace(report, kombo=answer, metadata=found, needs=needed, findings=_sorted(findings))

    async def _of_broken(self, report: Report) -> Report:
        error = self._configuration.broken[report.slug]
        found = Metadata()
        if isinstance(error, SourceError):
            found = await self._of_url(error.source, None)
        return replace(report, metadata=found, findings=_sorted([*of_broken(error), *found.findings]))

    async def _ask(self, tenant: Tenant, needed: Sequence[Need]) -> KomboAnswer:
        client = KomboClient(self._http, tenant.kombo, tenant.integration_id, kombo.PATIENCE)
        slugs = self._configuration.tenants.keys() | self._configuration.broken.keys()
        return await kombo.ask(client, tenant, needed, self._environment(tenant, client), slugs)

    def _environment(self, tenant: Tenant, client: KomboClient) -> Callable[[], Awaitable[str]]:
        """Whose the key is, asked once for all tenants that go by it: of thousands, none waits for a Kombo that is
        down but the first.
        """

        async def ask() -> str:
            key = (str(tenant.kombo.api_url), tenant.kombo.api_key.get_secret_value())
            if key not in self._environments:
                self._environments[key] = asyncio.ensure_future(client.check_api_key())
            return await asyncio.shield(self._environments[key])

        return ask

    async def _look(self, tenant: Tenant) -> Metadata:
        source = self._urls.get(tenant.slug)
        if source and source.url == tenant.saml.metadata:
            return await self._of_url(source, tenant)
        if isinstance(tenant.saml.metadata, str):
            return Metadata()
        return await metadata.of_file(tenant.saml.metadata, self._known.snapshot.now)

    async def _of_url(self, source: MetadataUrl, tenant: Tenant | None) -> Metadata:
        kept = self._known.snapshot.metadata.get(Key(source.slug, source.url))
        in_use = tenant.provider if tenant else None
        return await metadata.of_url(self._fetcher, source, kept, in_use, self._known.snapshot.now)

    def _ends_of(self, tenant: Tenant | None) -> list[Ending]:
        """With the deployment's, where this tenant's IdP is shown those."""
        if tenant is None:
            return []
        return [*self._ends.get(tenant.slug, ()), *([] if tenant.saml.own_keys else self._ends.get(None, ()))]

    def _of_all(self) -> list[Finding]:
        found = [Finding("broken", f"The state cannot be looked into: {self._trouble}.")] if self._trouble else []
        return [*found, *of_endings(self._ends.get(None, ()), self._known.snapshot)]

    def _never_forwarded(self, report: Report) -> list[Finding]:
        matched = report.counted("matched")
        if not matched or report.counted("forwarded"):
            return []
        says = (
            f"Of {matched} people who signed in and matched in seven days, none has reached the platform:"
            f" `kombo-bridge launches --tenant {report.slug}` shows what became of them."
        )
        return [Finding("attention", says)]


def _own(ends: Sequence[Ending], tenant: Tenant) -> list[Ending]:
    """Those that are said of the tenant rather than of the deployment."""
    return [end for end in ends if end.tenant == tenant.slug or not isinstance(end, Expiry)]


def _unsaid(standing: Standing | None, answer: KomboAnswer) -> dict[str, Standing]:
    """What the state says of an integration, without what Kombo itself has just said."""
    if standing is None:
        return {}
    now = replace(standing, status=None, setup_status=None) if answer.integration else standing
    return {standing.integration_id: now}


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))
