"""Traefik 3, by its middleware `forwardAuth`: one file that is both its static configuration and its routes.

Traefik takes every 2xx for leave, and whatever an answer lacks it removes from the request, so that it can only forward
less than the bridge says.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import yaml

from bridge.generate.plan import BODILESS, Plan, Unwritable, in_seconds
from bridge.generate.templates import templates
from bridge.settings.addresses import Upstream
from bridge.stamp.headers import listed

FILE: Final = "kombo-bridge.yaml"
"""What the file is to be called: Traefik looks for its routes by name, from the folder in which it is started."""
UPLOAD: Final = timedelta(minutes=15)
"""Traefik has one limit for head and body together. Without any, a client could send a head for ever."""
_BODILESS: Final = " || ".join(f"Method(`{method}`)" for method in BODILESS)
_OTHER_LETTER: Final = "|".join(f".{{{at}}}[^{one}{one.upper()}].*" for at, one in enumerate("websocket"))
_NO_WEBSOCKET: Final = f"^(?:.{{0,8}}|.{{10,}}|{_OTHER_LETTER})$"
"""Every value but `websocket`: Go's patterns have no way to say "not"."""
_LARGEST_PAGE: Final = 1024 * 1024
_WRITTEN: Final = ("X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP")
"""What Traefik says itself, unless a trusted proxy has said it, which is believed about the client alone."""


def traefik(plan: Plan) -> str:
    """The whole file. Raises `Unwritable`."""
    return _TEMPLATES.get_template("traefik.yaml.j2").render(
        plan=plan,
        limits=plan.limits,
        file=FILE,
        upload=UPLOAD,
        removed=[*plan.removed, "Forwarded", "X-Bridge-Headers", *(_WRITTEN if plan.trusted_proxies else ())],
        answers_removed=[*plan.answers_removed, "X-Accel-Redirect"],
        endpoint=f"http://{plan.inside}/auth/traefik/headers/{listed(plan.identity)}",
        bodiless=_BODILESS,
        largest_page=_LARGEST_PAGE,
        further=[name for name in plan.identity if not name.lower().startswith("x-kombo-")],
        bridge=f"http://{plan.bridge}",
        bridge_idle=plan.limits.keep_alive / 2,
    )


def _written(value: Any) -> str:
    """A value as a YAML scalar.

    Traefik also runs its routes through Go's templates, where two braces begin an instruction: none is left as it is.
    """
    if isinstance(value, int):
        return str(value)
    text = in_seconds(value) if isinstance(value, timedelta) else str(value)
    return str(yaml.safe_dump(text, default_style='"', width=float("inf"))).rstrip("\n").replace("{", "\\x7B")


def _own(doors: Iterable[str]) -> str:
    """The rule for what goes to the bridge unasked."""
    for door in doors:
        if "`" in door:
            raise Unwritable(f"{door!r} cannot be said in a rule of Traefik's: let no ` be in it")
    paths = ["PathPrefix(`/_bridge/`)", *(f"Path(`{door}`)" for door in ("/_bridge", *doors))]
    body = f"({_BODILESS}) && HeaderRegexp(`Content-Length`, `[1-9]`)"
    upgrade = f"HeaderRegexp(`Upgrade`, `{_NO_WEBSOCKET}`) || (HeaderRegexp(`Upgrade`, `.`) && !Method(`GET`))"
    return " || ".join([*paths, f"({body})", upgrade])


def _url(upstream: Upstream) -> str:
    if upstream.scheme == "unix":
        raise Unwritable("Traefik cannot reach a platform by a unix socket: let `upstream` be http:// or https://")
    return str(upstream)


_TEMPLATES: Final = templates(_written)
_TEMPLATES.filters |= {"own": _own, "url": _url}
