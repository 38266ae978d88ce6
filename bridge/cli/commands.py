"""Which modules make which sub-command. Only those of the one asked for are imported, as all would take a second."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

MODULES = {
    "check": ("check",),
    "courses": ("courses", "push"),
    "demo": ("demo",),
    "explain": ("explain",),
    "generate": ("generate",),
    "headers": ("headers",),
    "keys": ("keys", "signing"),
    "launches": ("launches", "misses"),
    "metadata": ("metadata",),
    "outbox": ("outbox",),
    "serve": ("serve",),
    "sessions": ("sessions",),
    "simulate": ("simulate",),
    "sync": ("sync",),
    "tenant": ("tenant",),
}


def register(arguments: Sequence[str] = ()) -> None:
    """Put the sub-command that the arguments begin with on the app; without one, as for its help, all of them."""
    for name in arguments[:1] if arguments and arguments[0] in MODULES else MODULES:
        for module in MODULES[name]:
            import_module(f"bridge.cli.{module}")
