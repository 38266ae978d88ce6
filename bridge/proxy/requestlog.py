"""One line a request in the log, in the shape of all others.

`{"event":"request_ended","level":"info","timestamp":…}` and then

* `method`, `path`: as the client sent them, without the query and of at most 512 bytes; absent where it sent no request
  that could be read;
* `status`: of the answer; absent where none was begun. `bytes`: what was written to the client, the head included;
* `duration_ms`: from the first byte of the request that was read to the last of the answer that was written;
  `first_byte_ms`: from when the request had been sent to the platform until it answered; absent where it did not;
* `whose`: `public`, `anonymous`, `learner` or `course`, as the route's access and the session made it, or `bridge`
  where the bridge itself answered. `tenant`, `user`, `course`, `gate`: where a session was used, ids only;
* `peer`: the client's address, as far as trusted proxies can be believed about it;
* `code`: of a refusal. `reference`: of a refusal that has no page, and of an error of the bridge's own;
* `outcome`: why the answer, or a WebSocket, ended; absent where an answer was complete.

Every part that a client chooses is an escaped JSON string of printable ASCII, so none can end its line or reach a
terminal as anything else than text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

from bridge.exchange import Head
from bridge.lines import Lines
from bridge.proxy.ended import Ended
from bridge.settings.forwarding import LogRequests


class RequestLog:
    """Writes `which` requests to `lines`; `client` tells a client's address."""

    def __init__(self, lines: Lines, which: LogRequests, client: Callable[[Head], str]) -> None:
        self.client = client
        self._lines = lines
        self._which = which
        self._second = 0.0  # when the second of `_beginning` began, on the clock of `time.monotonic`
        self._beginning = ""

    def write(self, requests: Sequence[Ended]) -> int:
        """The lines of requests that are over, as far as they have one. How many there was no room for."""
        if self._which == "none":
            return 0
        every = self._which == "all"
        lines = [self._line(each) for each in requests if every or each.whose != "public"]
        if not lines or self._lines.put("".join(lines).encode("utf-8", "backslashreplace"), len(lines)):
            return 0
        return len(lines)

    def _line(self, request: Ended) -> str:
        passed = request.moment - self._second
        if not 0.0 <= passed < 1.0:
            passed = self._begin_second(request.moment)
        parts = [f'{self._beginning}{int(passed * 1e6):06d}Z"']
        if request.method:
            path = request.target.partition(b"?")[0].decode("latin-1")
            parts.append(f'"method":{quoted(request.method.decode("latin-1"))},"path":{quoted(path)}')
        if request.status:
            parts.append(f'"status":{request.status},"bytes":{request.sent}')
        parts.append(f'"duration_ms":{(request.moment - request.began) * 1e3:.2f}')
        if request.heard:
            parts.append(f'"first_byte_ms":{(request.heard - request.asked) * 1e3:.2f}')
        parts.append(_who(request.whose, request.logged, request.client))
        if request.code is not None:
            parts.append(f'"code":"{request.code}"')
        if request.reference:
            parts.append(f'"reference":"{request.reference}"')
        if request.outcome is not None:
            parts.append(f'"outcome":"{request.outcome}"')
        return ",".join(parts) + "}\n"

    def _begin_second(self, now: float) -> float:
        """What of it has passed. The clock is asked once in each, as it may be set meanwhile."""
        wall = time.time() + (now - time.monotonic())
        second, passed = divmod(wall, 1.0)
        moment = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._beginning = f'{{"event":"request_ended","level":"info","timestamp":"{moment}.'
        self._second = now - passed
        return passed


@lru_cache(4096)
def _who(whose: str, logged: bytes, client: str) -> str:
    """The members that are the same for all requests of a learner and a course."""
    who = f'"whose":"{whose}"'
    if logged:
        who += "," + logged.decode()
    return f'{who},"peer":{quoted(client)}' if client else who
