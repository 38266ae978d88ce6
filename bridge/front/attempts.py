"""Guessing at the token, made slow without remembering anybody.

A wrong token costs whoever sends it a second, and others beside it are not looked at: so an address has about two
guesses a second, and all together about thirty, in each worker. What is kept is what waits just now. The same wrong
token once more is no further guess: one program that was not told of the new token keeps nobody else out.
"""

from __future__ import annotations

import asyncio
import hashlib

import structlog

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.front.bearer import bearer, is_token

PAUSE_SECONDS = 1.0
OF_ONE = 2
AT_ONCE = 32

log = structlog.get_logger()


class Attempts:
    """Judges what is sent as the token, wherever it is taken. `pause` is how long a wrong one waits, in seconds."""

    def __init__(self, token: str, *, pause: float = PAUSE_SECONDS) -> None:
        self._token = token
        self._pause = pause
        self._waiting: set[tuple[str, bytes]] = set()

    async def authorize(self, head: Head) -> None:
        """Raises `Refusal`: 401 where the request has no token in its Authorization header, and as `judge`."""
        given = bearer(head)
        if given is None:
            reason = "send the internal_token of bridge.yaml as `Authorization: Bearer …`"
            raise Refusal(Code.LOGIN_REQUIRED, reason)
        await self.judge(given, head.peer)

    async def judge(self, given: bytes, peer: str) -> None:
        """Raises `Refusal` for a wrong token (401), and unseen for one too many of this address or of all (429)."""
        guess = peer, hashlib.sha256(given).digest()
        if guess not in self._waiting:
            of_one = sum(address == peer for address, _ in self._waiting)
            if of_one >= OF_ONE or len(self._waiting) >= AT_ONCE:
                raise Refusal(Code.LOGIN_REQUIRED, "too many wrong tokens: wait a moment and try again", status=429)
            if is_token(given, self._token):
                return
            log.warning("internal_token_refused", peer=peer)
            self._waiting.add(guess)
            try:
                await asyncio.sleep(self._pause)
            finally:
                self._waiting.discard(guess)
        raise Refusal(Code.LOGIN_REQUIRED, "this is not the internal_token of bridge.yaml")
