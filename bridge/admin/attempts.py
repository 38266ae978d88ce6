"""Guessing at the token, made slow without remembering anybody.

A wrong token costs whoever sends it a second, and a second try beside it is not looked at: so an address has about two
tries a second, and all together about thirty, in each worker. What is kept is what waits just now.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from bridge.errors import Code, Refusal
from bridge.front.bearer import is_token

PAUSE_SECONDS = 1.0
OF_ONE = 2
AT_ONCE = 32

log = structlog.get_logger()


class Attempts:
    """Judges tokens that were sent. `pause` is how long a wrong one waits for its answer, in seconds."""

    def __init__(self, token: str, *, pause: float = PAUSE_SECONDS) -> None:
        self._token = token
        self._pause = pause
        self._waiting: Counter[str] = Counter()

    async def judge(self, given: bytes, peer: str) -> None:
        """Raises `Refusal` for a wrong token (401), and unseen for one too many of this address or of all (429)."""
        if self._waiting[peer] >= OF_ONE or self._waiting.total() >= AT_ONCE:
            raise Refusal(Code.LOGIN_REQUIRED, "too many wrong tokens: wait a moment and try again", status=429)
        if is_token(given, self._token):
            return
        log.warning("admin_sign_in_refused", peer=peer)
        self._waiting[peer] += 1
        try:
            await asyncio.sleep(self._pause)
        finally:
            self._waiting -= Counter([peer])
        raise Refusal(Code.LOGIN_REQUIRED, "this is not the internal_token of bridge.yaml")
