"""Every sub-command, imported for its registration."""

from bridge.cli import check, courses, demo, generate, keys, launches, metadata, outbox, push, serve, simulate, sync

__all__ = [
    "check",
    "courses",
    "demo",
    "generate",
    "keys",
    "launches",
    "metadata",
    "outbox",
    "push",
    "serve",
    "simulate",
    "sync",
]
