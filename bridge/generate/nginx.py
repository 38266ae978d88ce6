"""nginx: `auth_request` with kept answers, of nothing but what every nginx is built with.

nginx removes headers by name alone, knows of a subrequest's status only 2xx, 401 and 403, and forgets the
`proxy_set_header` of a server in each location that has one of its own. Hence the long lists, `@bridge`, and each
location with its whole set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from bridge.front.classes import CAPTURED, PLAIN, PathClass, classes_id
from bridge.front.forward_auth import DECISION_SECONDS, KEPT_SECONDS
from bridge.generate.plan import AUTHORITIES, BODILESS, Plan, Unwritable, in_seconds
from bridge.generate.templates import templates
from bridge.hosts import authority, is_address
from bridge.proxy.names import SHARED_CACHE_KNOWN
from bridge.settings.addresses import Upstream
from bridge.stamp.headers import listed

_PLAIN = re.compile(r"[A-Za-z0-9_.:/\[\]-]+")
_QUOTABLE = re.compile(r"[ !#%-\[\]-~]+")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_PORT = re.compile(r":[0-9]+$")


class Nginx(str):
    """Text that nginx is to read as it stands."""

    __slots__ = ()


def nginx(plan: Plan) -> str:
    """A file for the `http` context. Raises `Unwritable`."""
    longest_line = plan.limits.target_bytes // 1024 + 1  # in KiB: the target with a little more
    return _TEMPLATES.get_template("nginx.conf.j2").render(
        plan=plan,
        limits=plan.limits,
        kept=KEPT_SECONDS,
        question=timedelta(seconds=DECISION_SECONDS + 5),
        longest_line=longest_line,
        question_buffer=min(3 * longest_line + 8, 64),  # the key has target and cookies, the answer cookies once more
        plain=Nginx(PLAIN),
        routes=classes_id(plan.classes, plan.tenant_parameter),
        headers=listed(plan.identity),
        identity={name.lower() for name in plan.identity},
        written=_written_headers(plan),
        names=list(dict.fromkeys(_PORT.sub("", host) for host in plan.hosts)),
        ports={host: host.rpartition(":")[2] for host in plan.hosts if _PORT.search(host)},
        own_places=list(_own_places(plan)),
        bodiless=Nginx("|".join(BODILESS)),
        shared_caches=SHARED_CACHE_KNOWN,
        authorities=AUTHORITIES,
    )


def _written(value: Any) -> str:
    """A value as one word, if need be in quotes: in these nginx knows variables, escapes and the end of the quotes."""
    if isinstance(value, Nginx):
        return value
    text = in_seconds(value) if isinstance(value, timedelta) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    if not _QUOTABLE.fullmatch(text):
        raise Unwritable(f"{text!r} cannot be said in nginx's configuration: write it in ASCII without \", $ and \\")
    return f'"{text}"'


def _written_headers(plan: Plan) -> dict[str, Nginx]:
    return {
        "X-Forwarded-For": Nginx("$kombo_for" if plan.trusted_proxies else "$remote_addr"),
        "X-Forwarded-Proto": Nginx(plan.scheme),
        "X-Forwarded-Host": Nginx("$http_host"),
        "X-Forwarded-Port": Nginx("$kombo_port"),
        "X-Real-IP": Nginx("$remote_addr"),
        "Forwarded": Nginx(rf'"for=$kombo_node;host=\"$http_host\";proto={plan.scheme}"'),
    }


def _own_places(plan: Plan) -> Iterator[Nginx]:
    """What the public listener answers. A door that cannot be written is asked about, and so gets there too."""
    yield Nginx("= /_bridge")
    yield Nginx("^~ /_bridge/")
    for door in plan.doors:
        if _QUOTABLE.fullmatch(door):
            yield Nginx(f"= {_written(door)}")
    yield Nginx("@bridge")


def _matched(each: PathClass) -> Nginx:
    return Nginx(rf"{'~*' if each.ignore_case else '~'}^{each.pattern}(?:\?|$)")


def _class(each: PathClass) -> Nginx:
    """No target begins with `=`, so that no class is taken for one."""
    if each.name is None:
        return Nginx("$request_uri")
    return Nginx(f"={each.name}/${CAPTURED}" if each.of_course else f"={each.name}")


def _header(name: str) -> Nginx:
    if not _HEADER.fullmatch(name):
        raise Unwritable(f"{name!r} is no name of a header")
    return Nginx(name)


def _variable(name: str) -> Nginx:
    """What nginx makes of a header's name in the names of variables."""
    return Nginx(_header(name).lower().replace("-", "_"))


def _word(text: str) -> Nginx:
    """A value that must not begin with what nginx takes for a pattern, nor hold a blank."""
    if not _PLAIN.fullmatch(text):
        raise Unwritable(f"{text!r} cannot be said in nginx's configuration")
    return Nginx(text)


def _escaped(text: str) -> Nginx:
    return Nginx(re.escape(_word(text)))


def _address(upstream: Upstream) -> str:
    return f"unix:{upstream.path}" if upstream.scheme == "unix" else authority(upstream.host, upstream.port)


def _certified(plan: Plan) -> str:
    """The name that the platform's certificate must have."""
    name = plan.limits.upstream_name or plan.upstream.host
    if is_address(name):
        raise Unwritable(
            f"nginx verifies certificates by name, and {name} is none: set `upstream_name` under `forwarding:`"
        )
    return name


_TEMPLATES: Final = templates(_written)
_TEMPLATES.filters |= {
    "address": _address,
    "certified": _certified,
    "class": _class,
    "escaped": _escaped,
    "header": _header,
    "matched": _matched,
    "raw": Nginx,
    "variable": _variable,
    "word": _word,
}
