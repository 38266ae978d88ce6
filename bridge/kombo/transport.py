"""One call to Kombo: a deadline around all its tries, a limit on its answer, and no more tries than do good."""

from __future__ import annotations

import asyncio
import http.cookiejar
import logging
from collections.abc import Mapping
from importlib.metadata import version
from itertools import count
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from bridge.bodies import ACCEPTED, BodyError, inflated
from bridge.errors import BridgeError, KomboUnavailable
from bridge.kombo.answers import Repeat, Unusable, open_envelope
from bridge.kombo.model import MAX_ID
from bridge.kombo.pauses import Patience

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer after decompression."""


def http_client() -> httpx.AsyncClient:
    """The client that all integrations share.

    It believes no proxy, netrc or certificate variable of the environment, follows no redirect and keeps no cookie: one
    customer's answers must not colour another's requests. httpx logs every URL, with the addresses of people in it, so
    its loggers are turned down here.
    """
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=()))
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        cookies=no_cookies,
        timeout=httpx.Timeout(20.0, connect=5.0, pool=5.0),
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0),
        headers={"User-Agent": f"kombo-bridge/{version('kombo-bridge')}", "Accept-Encoding": ACCEPTED},
    )


class Transport:
    """Calls on behalf of one integration."""

    def __init__(
        self, client: httpx.AsyncClient, api_url: str, api_key: str, integration_id: str, patience: Patience
    ) -> None:
        for name, value in (("kombo.api_key", api_key), ("kombo.integration_id", integration_id)):
            if not value or not all("!" <= char <= "~" for char in value):
                raise BridgeError(f"{name} is empty or has characters that an HTTP header cannot carry")
        self._client = client
        self._base = api_url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "X-Integration-Id": integration_id,
            "Accept": "application/json",
        }
        self._patience = patience

    async def read(self, path: str, *ids: str, until: float, query: Mapping[str, str] | None = None) -> msgspec.Raw:
        """`data` of a GET. `until` is on the event loop's clock; `path` has a `{}` for each of `ids`."""
        return await self._call("GET", path, ids, until, query=query or {})

    async def write(self, path: str, *ids: str, until: float, body: Any) -> msgspec.Raw:
        """`data` of a POST. Sent again only where Kombo certainly did nothing; else its outcome is unknown."""
        return await self._call("POST", path, ids, until, content=msgspec.json.encode(body))

    async def _call(self, method: str, path: str, ids: tuple[str, ...], until: float, **parts: Any) -> msgspec.Raw:
        operation = f"{method} {path}"
        url = self._base + path.format(*map(_segment, ids))
        repeatable = {Repeat.ALWAYS, Repeat.READS} if method == "GET" else {Repeat.ALWAYS}
        clock = asyncio.get_running_loop().time
        last: Unusable | None = None
        try:
            async with asyncio.timeout_at(until):
                for attempt in count():
                    try:
                        return await self._attempt(operation, method, url, until - clock(), parts)
                    except Unusable as error:
                        last = error
                    pause = self._patience.pause(attempt, last.retry_after)
                    tries_left = attempt + 1 < self._patience.attempts
                    if not tries_left or last.repeat not in repeatable or clock() + pause >= until:
                        raise last
                    await asyncio.sleep(pause)
        except TimeoutError:
            before = f"; before that: {last}" if last else ""
            raise KomboUnavailable(f"{operation}: no answer within the deadline{before}") from last
        raise AssertionError("count() does not end")

    async def _attempt(
        self, operation: str, method: str, url: str, left: float, parts: Mapping[str, Any]
    ) -> msgspec.Raw:
        limit = min(left, self._patience.attempt) if method == "GET" else left
        headers = self._headers | ({"Content-Type": "application/json"} if "content" in parts else {})
        connect = min(limit, 5.0)
        timeout = httpx.Timeout(limit, connect=connect, pool=connect)
        query = parts.get("query")
        try:
            async with self._client.stream(
                method,
                url,
                params=query or None,
                content=parts.get("content"),
                headers=headers,
                timeout=timeout,
                follow_redirects=False,
            ) as response:
                body = await _body(operation, response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unusable(f"{operation}: no connection: {type(error).__name__}", repeat=Repeat.ALWAYS) from error
        except httpx.RequestError as error:
            raise Unusable(f"{operation}: cut off: {type(error).__name__}") from error
        return open_envelope(operation, response, body)


async def _body(operation: str, response: httpx.Response) -> bytes:
    try:
        return await inflated(response.aiter_raw(), response.headers.get("content-encoding", ""), MAX_ANSWER)
    except BodyError as error:
        repeat = Repeat.NEVER if error.same_again else Repeat.READS
        raise Unusable(f"{operation}: {error}", repeat=repeat) from error


def _segment(value: str) -> str:
    """A path parameter. Ids may come from an assertion, so `/`, `#`, `?` and dot segments must not change the call."""
    if not value or value in (".", "..") or len(value) > MAX_ID:
        raise ValueError("not a record's id")
    return quote(value, safe="")
