"""Deep links: where a tenant's learners find a course, held to the bridge's own rules.

A link that a catalogue gives away lives for years in LMSs, so it is tried before it goes out: under the routes in
force, and under every reading that a platform could make of it, it has to lead to exactly its course.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

from bridge.courses.catalogue import Entry
from bridge.errors import Refusal
from bridge.front import queries
from bridge.front.paths import PathDecider
from bridge.front.routes import COURSE, REST, RouteTable
from bridge.front.targets import next_target
from bridge.settings.addresses import origin
from bridge.settings.model import Configuration, Tenant

_PLAIN = re.compile(r"[!-~]+")
_KEPT = "".join(map(chr, range(0x21, 0x7F))).translate(dict.fromkeys(map(ord, '"<>\\^`{|}')))
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ANONYMOUS = ("public", "optional")


class LinkError(ValueError):
    """What of a course gives no link; `field` is the key that has to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class _Target(NamedTuple):
    """The part of a URL behind the origin; `field` is the key that it comes from."""

    field: str
    path: str
    query: str
    fragment: str


class Links:
    """The links of one tenant."""

    def __init__(self, configuration: Configuration, tenant: Tenant) -> None:
        service = configuration.service
        scheme = service.public_url.partition("://")[0]
        self._tenant = tenant
        self._origin = configuration.login_origin(tenant)
        self._ours = {service.public_url, *(f"{scheme}://{host}" for host in tenant.hosts)}
        self._parameter = service.tenant_parameter
        self._keeps_fragments = service.keep_fragment
        self._paths = PathDecider(RouteTable(service.routes, service.completions))
        self._route = next((route for route in service.routes if route.access == "course"), None)

    def course(self, entry: Entry) -> str:
        """The course's deep link; raises `LinkError`."""
        target = self._named(self._target(entry))
        if target.fragment and not self._keeps_fragments:
            raise LinkError(
                target.field,
                f"#{target.fragment} would be lost at the login: leave it out, or set `keep_fragment: true` in"
                " bridge.yaml",
            )
        self._try(entry, target)
        query = f"?{target.query}" if target.query else ""
        fragment = f"#{target.fragment}" if target.fragment else ""
        return f"{self._origin}{target.path}{query}{fragment}"

    def thumbnail(self, entry: Entry) -> str | None:
        """The address of the course's picture, which the LMS has to get without a login; raises `LinkError`."""
        if entry.thumbnail is None:
            return None
        if entry.thumbnail.startswith("/"):
            self._open_to_all(_split("thumbnail", entry.thumbnail))
            return f"{self._origin}{entry.thumbnail}"
        found = _address(entry.thumbnail)
        if found is None or not _PLAIN.fullmatch(entry.thumbnail):
            raise LinkError("thumbnail", "write an https address, or a path that starts with /")
        if found[0] in self._ours:
            self._open_to_all(_split("thumbnail", found[1]))
        return entry.thumbnail

    def _target(self, entry: Entry) -> _Target:
        if entry.path is not None:
            return _split("path", entry.path)
        if entry.url is None:
            return self._from_route(entry)
        found = _address(entry.url)
        if found is None or found[0] not in self._ours:
            ours = " or ".join(sorted(self._ours))
            raise LinkError("url", f"write an address of the platform as learners see it, on {ours}, or a path alone")
        return _split("url", found[1])

    def _from_route(self, entry: Entry) -> _Target:
        """Where the first course route has the course; routes are written decoded."""
        route, course = self._route, quote(entry.origin_id, safe="")
        if route is None:
            raise LinkError("path", "write one: there is no route with `access: course` in bridge.yaml to make it from")
        segments = route.path.removesuffix(f"/{REST}").split("/")
        path = "/".join(course if segment == COURSE else quote(segment) for segment in segments)
        query = f"{route.course_parameter}={course}" if route.course_parameter else ""
        return _Target("origin_id", path or "/", query, "")

    def _named(self, target: _Target) -> _Target:
        """The target with the tenant in its query, where no host of its own says whose it is."""
        try:
            named = queries.parameter(target.query.encode(), self._parameter)
        except Refusal as refusal:
            raise LinkError(target.field, refusal.reason) from None
        slug = self._tenant.slug
        if named not in (None, slug):
            raise LinkError(target.field, f"leave `{self._parameter}=` out: each tenant's link gets its own")
        if named or self._tenant.hosts:
            return target
        return target._replace(query=f"{target.query}{'&' if target.query else ''}{self._parameter}={slug}")

    def _try(self, entry: Entry, target: _Target) -> None:
        """Follow the link as the bridge would."""
        try:
            next_target(f"{target.path}?{target.query}")
            match = self._paths.decide_path(target.path.encode())
            course = queries.course(match, b"GET", target.query.encode())
        except Refusal as refusal:
            raise LinkError(target.field, f"the bridge refuses this link, {refusal.code}: {refusal.reason}") from None
        if course is not None and course != entry.origin_id:
            raise LinkError(target.field, f"it leads to the course {course}, not to {entry.origin_id}: write its own")
        if course is None and not (match.access == "learner" and self._tenant.gate.kind(entry.origin_id) == "library"):
            raise LinkError(
                target.field,
                f"no route has a course there, only access {match.access}: write the path of a route with"
                " `access: course`, or add one to bridge.yaml",
            )

    def _open_to_all(self, target: _Target) -> None:
        try:
            access = self._paths.decide_path(target.path.encode()).access
        except Refusal as refusal:
            raise LinkError(target.field, f"the bridge refuses this path, {refusal.code}: {refusal.reason}") from None
        if access not in _ANONYMOUS:
            raise LinkError(
                target.field,
                f"it has access {access}, and an LMS that fetches a picture has no login: write one under a route with"
                " `access: public`",
            )


def _split(field: str, text: str) -> _Target:
    if not text.startswith("/"):
        raise LinkError(field, "write a path that starts with /")
    encoded = quote(text, safe=_KEPT)
    if encoded != text:
        raise LinkError(field, f"write it percent-encoded: {encoded}")
    if _BROKEN_ESCAPE.search(text):
        raise LinkError(field, "write %25 where a percent sign is meant")
    rest, _, fragment = text.partition("#")
    path, _, query = rest.partition("?")
    return _Target(field, path, query, fragment)


def _address(text: str) -> tuple[str, str] | None:
    """Origin and target of an absolute URL; None for anything else."""
    scheme, _, rest = text.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    try:
        found = origin(f"{scheme}://{authority}")
    except ValueError:
        return None
    target = rest.removeprefix(authority)
    return found, target if target.startswith("/") else f"/{target}"
