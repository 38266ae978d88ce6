"""Every sub-command, imported for its registration."""

from bridge.cli import check, demo, serve, simulate, sync

__all__ = ["check", "demo", "serve", "simulate", "sync"]
