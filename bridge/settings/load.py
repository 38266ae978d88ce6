"""All settings below one `bridge.yaml`: read at the start, and again when files change."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bridge.errors import Problem, SettingsError, StateError
from bridge.pages.look import Look
from bridge.settings import trust
from bridge.settings.document import read_document
from bridge.settings.files import Stamp, Watched, shown, stamp
from bridge.settings.idp import Documents, nothing_fetched
from bridge.settings.looks import look_of
from bridge.settings.model import Configuration, Service, is_awaited
from bridge.settings.problems import in_order, validated
from bridge.settings.settle import Settled, settle
from bridge.settings.tenant import TenantReading, read_tenant

log = structlog.get_logger()

RELOADED = frozenset({"routes", "completions", "pages"})
"""What of `bridge.yaml` takes effect without a restart."""


def load(path: Path, environ: Mapping[str, str] = os.environ, documents: Documents = nothing_fetched) -> Configuration:
    """The settings as they are now.

    Raises `SettingsError` with every problem of the service's file. A tenant whose file is bad does not stop the
    others: it stands in `Configuration.broken`.
    """
    return SettingsFiles(path, environ, documents).configuration


def read_service(path: Path, environ: Mapping[str, str] = os.environ) -> Service:
    """The service's file alone; raises `SettingsError`."""
    return _read_service(path, environ, Watched())[0]


@dataclass(slots=True)
class _TenantEntry:
    files: Watched
    latest: TenantReading | SettingsError


class SettingsFiles:
    """Every settings file, each read again only when it, or a file that it names, has changed.

    `configuration` is what is in force. Blocking: in a running service this belongs in a thread.
    """

    def __init__(
        self, path: Path, environ: Mapping[str, str] = os.environ, documents: Documents = nothing_fetched
    ) -> None:
        self.path = path
        self.environ = environ
        self.documents = documents
        self._service_files = Watched()
        service, self._look = _read_service(path, environ, self._service_files)
        self._tenants: dict[str, _TenantEntry] = {}
        self._settled = Settled({}, {})
        self._reported: set[Problem] = set()
        self._folder_lost = False
        self._read_tenants(_tenant_files(service.tenants), service)
        self._settled = self._settle()
        self.configuration = self._configured(service, 0)

    @property
    def valid_until(self) -> datetime | None:
        """When metadata in force expires next: then `apply` has something to do, whatever the files are like."""
        return self._settled.valid_until

    def differences(self) -> dict[str, Stamp | None]:
        """The files that are not as they were when they were read, with their stamps now (None: gone)."""
        found = self._service_files.differences()
        paths = self._listed()
        if paths is not None:
            found |= {path: stamp(path) for path in paths if path not in self._tenants}
            for entry in self._tenants.values():
                found |= entry.files.differences()
            found |= dict.fromkeys(self._tenants.keys() - set(paths))
        return found

    def apply(self, found: Mapping[str, Stamp | None]) -> Configuration | None:
        """Read again what `differences` found. The new configuration, or None where everything stays as it was.

        Raises `StateError` where fetched metadata is asked for and cannot be had; all differences are then found again.
        """
        service = self.configuration.service
        before = self._service_files, self._look, dict(self._tenants)
        try:
            if self._service_files.keys() & found.keys():
                service = self._reread_service()
            reread = self._refresh_tenants(service, found)
        except StateError:
            self._service_files, self._look, self._tenants = before
            raise
        return self._apply(service, reread)

    def documents_changed(self, slugs: Iterable[str]) -> Configuration | None:
        """Read the tenants again whose fetched metadata is another one; as `apply`.

        A file that has itself changed meanwhile is left for `apply`: somebody may be half way through writing it.
        """
        service = self.configuration.service
        paths = [str(service.tenants / f"{slug}.yaml") for slug in slugs]
        known = [path for path in paths if path in self._tenants and not self._tenants[path].files.differences()]
        return self._apply(service, self._read_tenants(known, service))

    def _apply(self, service: Service, reread: set[str]) -> Configuration | None:
        before = self.configuration
        self._settled = self._settle()
        self._report(reread)
        now = self._configured(service, before.generation + 1)
        if _content(now) == _content(before):
            # What nobody decides by rolls on: nobody need be told.
            self.configuration = replace(before, valid_until=now.valid_until, outdated=now.outdated)
            return None
        # Now rather than on the event loop, when the first request asks for them.
        _ = now.by_host, now.by_domain
        self.configuration = now
        return now

    def _configured(self, service: Service, generation: int) -> Configuration:
        settled = self._settled
        return Configuration(
            service,
            settled.tenants,
            settled.broken,
            generation,
            settled.metadata_urls,
            settled.ends,
            settled.outdated,
            self._look,
        )

    def _settle(self) -> Settled:
        latest = {_slug(path): self._tenants[path].latest for path in sorted(self._tenants)}
        return settle(latest, self._settled.readings, datetime.now(UTC))

    def _listed(self) -> list[str] | None:
        """The tenant files, or None while their folder cannot be read: then all keep serving."""
        try:
            paths = _tenant_files(self.configuration.service.tenants)
        except SettingsError:
            if not self._folder_lost:
                log.error("tenants_folder_not_read", folder=shown(self.configuration.service.tenants))
            self._folder_lost = True
            return None
        self._folder_lost = False
        return paths

    def _refresh_tenants(self, service: Service, found: Mapping[str, Stamp | None]) -> set[str]:
        """Read new and changed tenant files, forget removed ones; the names of those read."""
        for path in [path for path in self._tenants if found.get(path, ...) is None]:
            del self._tenants[path]
        present = [path for path, now in found.items() if now and _is_tenant_file(path, service.tenants)]
        new = [path for path in present if path not in self._tenants]
        changed = [path for path, entry in self._tenants.items() if not entry.files.keys().isdisjoint(found)]
        return self._read_tenants([*changed, *new], service)

    def _read_tenants(self, paths: Sequence[str], service: Service) -> set[str]:
        for path in paths:
            files = Watched()
            latest: TenantReading | SettingsError
            try:
                latest = read_tenant(Path(path), service, self.environ, files, self.documents)
            except SettingsError as error:
                latest = error
            self._tenants[path] = _TenantEntry(files, latest)
        return {shown(Path(path)) for path in paths}

    def _reread_service(self) -> Service:
        """The service in force from now on: of a valid file only what needs no restart, of an invalid one nothing."""
        in_force = self.configuration.service
        self._service_files = Watched()
        try:
            written, self._look = _read_service(self.path, self.environ, self._service_files)
        except SettingsError as error:
            for problem in error.problems:
                log.error("settings_rejected", file=problem.file, line=problem.line, problem=problem.message)
            return in_force
        changed = {name for name in Service.model_fields if getattr(written, name) != getattr(in_force, name)}
        if waiting := sorted(changed - RELOADED):
            log.warning("settings_restart_needed", file=shown(self.path), settings=waiting)
        return in_force.model_copy(update={name: getattr(written, name) for name in changed & RELOADED})

    def _report(self, reread: set[str]) -> None:
        """Log each tenant file's problems once per change; metadata that has yet to come is none."""
        errors = {slug: error for slug, error in self._settled.errors.items() if not is_awaited(error)}
        problems = {problem: slug for slug, error in errors.items() for problem in error.problems}
        for problem, slug in problems.items():
            if problem not in self._reported or problem.file in reread:
                serving = "last good version" if slug in self._settled.readings else "nothing"
                log.error(
                    "settings_rejected",
                    file=problem.file,
                    line=problem.line,
                    problem=problem.message,
                    tenant=slug,
                    serving=serving,
                )
        self._reported = set(problems)


def _content(configuration: Configuration) -> tuple[object, ...]:
    broken = {slug: error.problems for slug, error in configuration.broken.items()}
    look = configuration.look
    return configuration.service, configuration.tenants, broken, set(configuration.metadata_urls), look


def _read_service(path: Path, environ: Mapping[str, str], files: Watched) -> tuple[Service, Look]:
    files.add(path)
    document = read_document(path, environ, files)
    service = validated(Service, document)
    if missing := _no_folder(service.tenants):
        message = f"`tenants` is `{document.places['tenants',].written}`: {missing}; make it, or name another"
        raise SettingsError(document.problem(("tenants",), message))
    look, wrong = look_of(service.pages, document, files)
    wrong += [
        document.problem(("forwarding", name), f"`forwarding.{name}`: {message}")
        for name, message in trust.problems(service)
    ]
    if wrong:
        raise in_order(wrong)
    return service, look


def _no_folder(path: Path) -> str | None:
    """Why the path is none; a name may be too long to ask about, and a folder above it closed."""
    try:
        return None if path.is_dir() else "there is no such folder"
    except OSError as error:
        return f"there is no such folder to be seen ({error.strerror})"


def _tenant_files(folder: Path) -> list[str]:
    """The tenant files in a folder; raises `SettingsError`."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  # names alone: a folder may hold ten thousand tenants
    except OSError as error:
        raise SettingsError(Problem(shown(folder), 1, f"the folder cannot be read ({error.strerror})")) from None
    within = str(folder)
    return [os.path.join(within, name) for name in names if _names_a_tenant(name)]  # noqa: PTH118  # as above


def _is_tenant_file(path: str, folder: Path) -> bool:
    parent, name = os.path.split(path)
    return parent == str(folder) and _names_a_tenant(name)


def _names_a_tenant(name: str) -> bool:
    """`.yml` counts, so that it can be reported; hidden files are editors' and mounts' own."""
    return name.endswith((".yaml", ".yml")) and not name.startswith(".")


def _slug(path: str) -> str:
    """The slug that a file gives its tenant; a name with another ending stays whole, and is no slug."""
    return os.path.basename(path).removesuffix(".yaml")  # noqa: PTH119  # of every file, at every change
