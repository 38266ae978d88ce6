"""Envoy, by its filter `ext_authz`: one static configuration file, without admin interface."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from bridge.front.forward_auth import DECISION_SECONDS
from bridge.generate.plan import AUTHORITIES, INSIDE_IDLE, WRITTEN, Plan, in_seconds
from bridge.generate.templates import templates
from bridge.hosts import is_address
from bridge.settings.addresses import Address, Upstream
from bridge.stamp.headers import listed

_HERE = Path(__file__).parent
_INDENT = " " * 18
_WIDTH = 95
_KIBIBYTES = 8192
"""What Envoy takes at most of `max_request_headers_kb`."""
# Framing under another name, and what the bridge alone says to Envoy.
_MISSPELT = ("content[^-]length", "transfer[^-]encoding")
_MARKS = ("bridge-whose", "bridge-status")


class Yaml(str):
    """Text that is YAML already."""

    __slots__ = ()


def envoy(plan: Plan) -> str:
    """The whole file. Every value is written as a scalar of its own, so that none can be more than a value."""
    limits, upstream = plan.limits, plan.upstream
    return _TEMPLATES.get_template("envoy.yaml.j2").render(
        plan=plan,
        headers=listed(plan.identity),
        further_identity=[name.lower() for name in plan.identity if not name.lower().startswith("x-kombo-")],
        removed=_removed(plan),
        own=[
            Yaml("{prefix: /_bridge/}"),
            Yaml("{path: /_bridge}"),
            *(Yaml(f"{{path: {_written(door)}}}") for door in plan.doors),
        ],
        question=timedelta(seconds=DECISION_SECONDS + 1),
        inside_idle=INSIDE_IDLE,
        bridge_idle=limits.keep_alive / 2,
        authorities=AUTHORITIES,
        verified=limits.upstream_name or upstream.host,
    )


def _removed(plan: Plan) -> Yaml:
    """One pattern for all names, which is looked through once for each header, as a scalar over several lines."""
    names = {name.lower() for name in (*plan.removed, *WRITTEN, *_MARKS)}
    names = {name for name in names if not name.startswith(("x-kombo-", "x-forwarded-"))}
    both = {name for name in names if f"x-{name}" in names}
    alone = names - both - {f"x-{name}" for name in both}
    patterns = ["x.forwarded..*", *_MISSPELT]
    patterns += sorted(f"(?:x.)?{_pattern(name)}" for name in both) + sorted(map(_pattern, alone))
    lines = wrap(" ".join(patterns), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return Yaml('"\\\n' + "|\\\n".join(_INDENT + " " * 6 + line.replace(" ", "|") for line in lines) + '"')


def _pattern(name: str) -> str:
    return "".join(character if character.isalnum() else "." for character in name)


def _written(value: Any) -> str:
    """A value as a YAML scalar; what is YAML already, as it is."""
    if isinstance(value, Yaml):
        return value
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, timedelta):
        return in_seconds(value)
    return f'"{_escaped(str(value))}"'


def _escaped(text: str) -> str:
    """For a YAML scalar in double quotes."""
    plain = (character if " " <= character <= "~" and character not in '"\\' else None for character in text)
    return "".join(kept or f"\\U{ord(character):08x}" for kept, character in zip(plain, text, strict=True))


def _socket(address: Address) -> Yaml:
    return Yaml(f"{{socket_address: {{address: {_written(address.host)}, port_value: {address.port}}}}}")


def _endpoint(upstream: Upstream) -> Yaml:
    if upstream.scheme == "unix":
        return Yaml(f"{{pipe: {{path: {_written(upstream.path)}}}}}")
    return _socket(Address(upstream.host, upstream.port))


def _kind(host: str) -> Yaml:
    """How Envoy finds a server: names are looked up again and again, addresses and sockets (no host) stand fast."""
    return Yaml("STATIC" if not host or is_address(host) else "STRICT_DNS")


def _lua(name: str) -> Yaml:
    lines = (_HERE / f"envoy_{name}.lua").read_text("utf-8").splitlines()
    return Yaml("\n".join(_INDENT + line if line else "" for line in lines))


_TEMPLATES: Final = templates(_written)
_TEMPLATES.filters |= {"socket": _socket, "endpoint": _endpoint}
_TEMPLATES.globals |= {
    "is_address": is_address,
    "kind": _kind,
    "kibibytes": lambda size: min(_KIBIBYTES, -(-size // 1024)),
    "lua": _lua,
    "whole_seconds": lambda length: round(length.total_seconds()),
}
