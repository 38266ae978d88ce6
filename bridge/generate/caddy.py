"""A Caddyfile, for Caddy 2.

Caddy's `forward_auth` is short for a `reverse_proxy` that asks and lets every 2xx through. It is written out here, as
three things have to be otherwise: only an answer with the bridge's own mark opens the way to the platform; the identity
headers are set on the request as it leaves, so that no client's `Connection` header takes them away again; and they are
written even where they are empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

from bridge.front.forward_auth import DECISION_SECONDS
from bridge.generate.plan import BODILESS, INSIDE_IDLE, Plan, Unwritable, in_seconds
from bridge.generate.templates import templates
from bridge.hosts import authority
from bridge.proxy.names import SHARED_CACHE_KNOWN
from bridge.settings.addresses import Upstream
from bridge.stamp.headers import listed

_PLAIN = re.compile(r"[A-Za-z0-9/._:\[\]-]+")
_MEANS_SOMETHING: Final = frozenset('"`{}\\')
_ODD: Final = "_.!#$%&'*+^`|~"
"""What may stand in a header's name (RFC 9110, 5.6.2) beside letters, digits and `-`."""


class Caddyfile(str):
    """Text that is a Caddyfile already."""

    __slots__ = ()


def caddy(plan: Plan) -> str:
    """The whole file. Raises `Unwritable`."""
    return _TEMPLATES.get_template("caddyfile.j2").render(
        plan=plan,
        limits=plan.limits,
        question=timedelta(seconds=DECISION_SECONDS + 1),
        headers=listed(plan.identity),
        further=[name for name in plan.identity if not name.lower().startswith("x-kombo-")],
        removed=list(_without((*plan.removed, "Forwarded"))),
        shared_caches=[*SHARED_CACHE_KNOWN, Caddyfile("*-Cdn-Cache-Control")],
        inside_idle=INSIDE_IDLE,
        bodiless=Caddyfile(" ".join(BODILESS)),
        bridge_idle=plan.limits.keep_alive / 2,
    )


def _written(value: Any) -> str:
    """A value as one word. Within quotation marks nothing has a meaning but these, backslashes and braces."""
    if isinstance(value, Caddyfile):
        return value
    text = in_seconds(value) if isinstance(value, timedelta) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    if not text or not text.isprintable() or _MEANS_SOMETHING & set(text):
        raise Unwritable(f"{text!r} cannot be said in a Caddyfile: let no quotation mark, brace or backslash be in it")
    return f'"{text}"'


def _without(names: Iterable[str]) -> Iterator[Caddyfile]:
    """What removes headers: those of a name, but for families that are gone already, and any with an odd character."""
    for name in (name for name in names if not name.lower().startswith("x-forwarded-")):
        yield Caddyfile(f"-{_written(name)}")
    for character in _ODD:
        quote = '"' if character == "`" else "`"
        yield Caddyfile(f"{quote}-*{character}*{quote}")


def _answered(name: str) -> Caddyfile:
    """What the bridge's answer says under a name, which Go and so Caddy's placeholders spell in a way of their own."""
    spelt = "-".join(part.capitalize() for part in _written(name).split("-"))
    return Caddyfile(f"{{http.reverse_proxy.header.{spelt}}}")


def _own(doors: Iterable[str]) -> Caddyfile:
    """Whether a request goes to the bridge unasked, as an expression (CEL) on the target as it would be forwarded."""
    target = "{http.request.uri}"
    tests = [f'{target}.startsWith("/_bridge/")']
    for door in ("/_bridge", *map(_unquoted, doors)):
        tests += [f'{target} == "{door}"', f'{target}.startsWith("{door}?")']
    bodiless = ", ".join(f'"{method}"' for method in BODILESS)
    body = 'header({"Transfer-Encoding": "*"}) || header_regexp("Content-Length", "[1-9]")'
    return Caddyfile(" || ".join([*tests, f"method({bodiless}) && ({body})"]))


def _unquoted(text: str) -> str:
    return _written(text).strip('"')


def _address(upstream: Upstream) -> str:
    if upstream.scheme == "unix":
        if "|" in upstream.path:
            raise Unwritable(
                f"Caddy takes a `|` in {upstream.path!r} for the end of the name: call the socket otherwise"
            )
        return f"unix/{upstream.path}"
    return ("https://" if upstream.scheme == "https" else "") + authority(upstream.host, upstream.port)


_TEMPLATES: Final = templates(_written)
_TEMPLATES.filters |= {"address": _address, "answered": _answered, "own": _own}
