"""The proxy's fixtures, for what other people's servers make of its requests."""

from __future__ import annotations

from tests.proxy.conftest import platform, start

__all__ = ["platform", "start"]
