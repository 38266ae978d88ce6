"""What Kombo tells by itself: events, signed, posted to one URL.

Retries, order and the receiver's time are documented nowhere. Here an event is tried three times with a pause between,
whatever answers 2xx has taken it, events go out in the order in which they happened (but one that is tried again comes
late), and a receiver has five seconds. Nothing of this holds up the API.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from bridge.simulator.records import kombo_id

LOOK_SECONDS = 0.02
"""How often the courier looks for events."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell; its bytes are the same however often it is sent."""

    id: str
    type: str
    body: bytes
    emitted: float


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt: `status` is what the receiver answered, `error` why it did not."""

    at: datetime
    id: str
    type: str
    attempt: int
    body: str
    status: int | None
    error: str | None


@dataclass
class Webhooks:
    """`duplicates` is how often each event is sent once more, `delay` how many seconds it waits before it goes.

    With `reorder`, the events of one moment (those of a sync, say) go out backwards.
    """

    url: str | None = None
    secret: str | None = None
    on: bool = True
    duplicates: int = 0
    delay: float = 0.0
    reorder: bool = False
    attempts: int = 3
    retry_pause: float = 1.0
    timeout: float = 5.0
    waiting: deque[Event] = field(default_factory=lambda: deque(maxlen=10_000))
    sent: deque[Sent] = field(default_factory=lambda: deque(maxlen=1000))

    def emit(self, type: str, data: dict[str, Any]) -> None:
        """Take note of an event; `Courier` takes it away."""
        if self.on and self.url:
            id = kombo_id("event", secrets.token_hex())
            body = event_body({"id": id, "type": type, "data": data})
            self.waiting.append(Event(id, type, body, time.monotonic()))

    def headers(self, body: bytes) -> dict[str, str]:
        """Without a secret, an event goes out unsigned."""
        signed = {"X-Kombo-Signature": signature(self.secret, body)} if self.secret else {}
        return {"Content-Type": "application/json", **signed}


def event_body(event: dict[str, Any]) -> bytes:
    """Indented by two spaces, as Kombo's seem to be."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def signature(secret: str, body: bytes) -> str:
    """Base64url without padding, of HMAC-SHA256 over the raw body."""
    return base64.urlsafe_b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode().rstrip("=")


class Courier:
    """Carries events out while `run` lasts."""

    def __init__(self, webhooks: Webhooks, clock: Callable[[], datetime]) -> None:
        self._webhooks, self._clock = webhooks, clock

    async def run(self) -> None:
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as client, asyncio.TaskGroup() as again:
            while True:
                for event in self._due():
                    if not await self._told(client, event, 1):
                        again.create_task(self._tell_again(client, event))
                await asyncio.sleep(LOOK_SECONDS)

    def _due(self) -> list[Event]:
        settings, now = self._webhooks, time.monotonic()
        events: list[Event] = []
        while settings.waiting and settings.waiting[0].emitted + settings.delay <= now:
            events += [settings.waiting.popleft()] * (1 + settings.duplicates)
        return events[::-1] if settings.reorder else events

    async def _tell_again(self, client: httpx.AsyncClient, event: Event) -> None:
        for attempt in range(2, self._webhooks.attempts + 1):
            await asyncio.sleep(self._webhooks.retry_pause)
            if await self._told(client, event, attempt):
                return

    async def _told(self, client: httpx.AsyncClient, event: Event, attempt: int) -> bool:
        settings, status, error = self._webhooks, None, None
        try:
            async with asyncio.timeout(settings.timeout):
                headers = settings.headers(event.body)
                async with client.stream("POST", settings.url or "", content=event.body, headers=headers) as answer:
                    status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as failure:
            error = type(failure).__name__
        body = event.body.decode()
        settings.sent.append(Sent(self._clock(), event.id, event.type, attempt, body, status, error))
        return status is not None and 200 <= status < 300
