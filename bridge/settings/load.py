"""All settings below one `bridge.yaml`: read at the start, and again when files change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import structlog

from bridge.errors import Problem, SettingsError
from bridge.settings.document import read_document
from bridge.settings.files import Stamp, Watched, shown, stamp
from bridge.settings.model import Configuration, Service
from bridge.settings.problems import validated
from bridge.settings.settle import Settled, settle
from bridge.settings.tenant import TenantReading, read_tenant

log = structlog.get_logger()

RELOADED = frozenset({"routes", "completions"})
"""What of `bridge.yaml` takes effect without a restart."""


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Configuration:
    """The settings as they are now.

    Raises `SettingsError` with every problem of the service's file. A tenant whose file is bad does not stop the
    others: it stands in `Configuration.broken`.
    """
    return SettingsFiles(path, environ).configuration


@dataclass(slots=True)
class _TenantEntry:
    files: Watched
    latest: TenantReading | SettingsError


class SettingsFiles:
    """Every settings file, each read again only when it, or a file that it names, has changed.

    `configuration` is what is in force. Blocking: in a running service this belongs in a thread.
    """

    def __init__(self, path: Path, environ: Mapping[str, str] = os.environ) -> None:
        self.path = path
        self.environ = environ
        self._service_files = Watched()
        service = _read_service(path, environ, self._service_files)
        self._tenants: dict[Path, _TenantEntry] = {}
        self._settled = Settled({}, {})
        self._reported: set[Problem] = set()
        self._folder_lost = False
        self._refresh_tenants(service, {path: stamp(path) for path in _tenant_files(service.tenants)})
        self._settled = self._settle()
        self.configuration = Configuration(service, self._settled.tenants, self._settled.broken)

    def differences(self) -> dict[Path, Stamp | None]:
        """The files that are not as they were when they were read, with their stamps now (None: gone)."""
        found = self._service_files.differences()
        paths = self._listed()
        if paths is not None:
            found |= {path: stamp(path) for path in paths if path not in self._tenants}
            for entry in self._tenants.values():
                found |= entry.files.differences()
            found |= dict.fromkeys(self._tenants.keys() - set(paths))
        return found

    def apply(self, found: Mapping[Path, Stamp | None]) -> Configuration | None:
        """Read again what `differences` found. The new configuration, or None where everything stays as it was."""
        before = self.configuration
        service = self._reread_service() if self._service_files.keys() & found.keys() else before.service
        reread = self._refresh_tenants(service, found)
        self._settled = self._settle()
        self._report(reread)
        now = Configuration(service, self._settled.tenants, self._settled.broken, before.generation + 1)
        if _content(now) == _content(before):
            return None
        self.configuration = now
        return now

    def _settle(self) -> Settled:
        latest = {_slug(path): entry.latest for path, entry in sorted(self._tenants.items(), key=itemgetter(0))}
        return settle(latest, self._settled.readings)

    def _listed(self) -> list[Path] | None:
        """The tenant files, or None while their folder cannot be read: then all keep serving."""
        try:
            paths = _tenant_files(self.configuration.service.tenants)
        except SettingsError:
            if not self._folder_lost:
                log.error("tenants_folder_unreadable", folder=shown(self.configuration.service.tenants))
            self._folder_lost = True
            return None
        self._folder_lost = False
        return paths

    def _refresh_tenants(self, service: Service, found: Mapping[Path, Stamp | None]) -> set[str]:
        """Read new and changed tenant files, forget removed ones; the names of those read."""
        for path in [path for path in self._tenants if found.get(path, ...) is None]:
            del self._tenants[path]
        present = [path for path, now in found.items() if now and _is_tenant_file(path, service.tenants)]
        new = [path for path in present if path not in self._tenants]
        changed = [path for path, entry in self._tenants.items() if entry.files.keys() & found.keys()]
        for path in [*changed, *new]:
            files = Watched()
            latest: TenantReading | SettingsError
            try:
                latest = read_tenant(path, service, self.environ, files)
            except SettingsError as error:
                latest = error
            self._tenants[path] = _TenantEntry(files, latest)
        return {shown(path) for path in (*changed, *new)}

    def _reread_service(self) -> Service:
        """The service in force from now on: of a valid file only what needs no restart, of an invalid one nothing."""
        in_force = self.configuration.service
        self._service_files = Watched()
        try:
            written = _read_service(self.path, self.environ, self._service_files)
        except SettingsError as error:
            for problem in error.problems:
                log.error("settings_invalid", file=problem.file, line=problem.line, problem=problem.message)
            return in_force
        changed = {name for name in Service.model_fields if getattr(written, name) != getattr(in_force, name)}
        if waiting := sorted(changed - RELOADED):
            log.warning("settings_need_restart", file=shown(self.path), settings=waiting)
        return in_force.model_copy(update={name: getattr(written, name) for name in changed & RELOADED})

    def _report(self, reread: set[str]) -> None:
        """Log each tenant file's problems once per change."""
        problems = {problem: slug for slug, error in self._settled.errors.items() for problem in error.problems}
        for problem, slug in problems.items():
            if problem not in self._reported or problem.file in reread:
                serving = "last good version" if slug in self._settled.readings else "nothing"
                log.error(
                    "settings_invalid",
                    file=problem.file,
                    line=problem.line,
                    problem=problem.message,
                    tenant=slug,
                    serving=serving,
                )
        self._reported = set(problems)


def _content(configuration: Configuration) -> tuple[object, ...]:
    broken = {slug: error.problems for slug, error in configuration.broken.items()}
    return configuration.service, configuration.tenants, broken


def _read_service(path: Path, environ: Mapping[str, str], files: Watched) -> Service:
    files.add(path)
    document = read_document(path, environ, files)
    service = validated(Service, document)
    if not service.tenants.is_dir():
        message = (
            f"`tenants` is `{document.places['tenants',].written}`: there is no such folder; make it, or name another"
        )
        raise SettingsError(document.problem(("tenants",), message))
    return service


def _tenant_files(folder: Path) -> list[Path]:
    """The tenant files in a folder; raises `SettingsError`."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError as error:
        raise SettingsError(Problem(shown(folder), 1, f"the folder cannot be read ({error.strerror})")) from None
    return [path for path in map(folder.joinpath, names) if _is_tenant_file(path, folder)]


def _is_tenant_file(path: Path, folder: Path) -> bool:
    """`.yml` counts, so that it can be reported; hidden files are editors' and mounts' own."""
    return path.parent == folder and path.suffix in (".yaml", ".yml") and not path.name.startswith(".")


def _slug(path: Path) -> str:
    """The slug that a file gives its tenant; a name with another ending stays whole, and is no slug."""
    return path.stem if path.suffix == ".yaml" else path.name
