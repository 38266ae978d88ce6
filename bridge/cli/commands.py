"""Every sub-command, imported for its registration."""

from bridge.cli import check, demo, keys, metadata, serve, simulate, sync

__all__ = ["check", "demo", "keys", "metadata", "serve", "simulate", "sync"]
