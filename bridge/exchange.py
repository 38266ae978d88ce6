"""What the front decides and the proxy carries out.

Everything between a request that has been parsed and an answer that is on its way is said with these few types, so that
`proxy` need not know why and `front` need not know how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from starlette.types import ASGIApp

from bridge.errors import Refusal

Header = tuple[bytes, bytes]
Whose = Literal["public", "anonymous", "learner", "course"]
"""For whom a request is forwarded: nobody on a public route, nobody yet, a learner, one who may see the course."""


@dataclass(slots=True)
class Head:
    """The head of one request, exactly as received.

    `target` is in origin-form (RFC 9112, 3.2.1), starts with `/`, and is what will be forwarded. `headers` keep their
    order and the case of their names. `peer` is the address at the other end of the socket, not yet what a trusted
    proxy says; `secure` says that TLS ended at this socket. `version` is that of HTTP, without the name. A `rehearsal`
    is only asked about: where the answer is no `Forward`, the same request comes again, and counts then.
    """

    method: bytes
    target: bytes
    headers: list[Header]
    peer: str = ""
    version: bytes = b"1.1"
    secure: bool = False
    rehearsal: bool = False
    _fields: dict[bytes, list[bytes]] | None = field(default=None, repr=False, compare=False)

    @property
    def fields(self) -> dict[bytes, list[bytes]]:
        """Values by lower-case name, in order; built once."""
        if self._fields is None:
            fields: dict[bytes, list[bytes]] = {}
            for name, value in self.headers:
                fields.setdefault(name.lower(), []).append(value)
            self._fields = fields
        return self._fields

    def get(self, name: bytes) -> bytes | None:
        """The value of a header that may stand once; None where it is absent or stands more than once."""
        values = self.fields.get(name)
        return values[0] if values and len(values) == 1 else None

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]


class Witness(Protocol):
    """Hears of the platform's final answer before the client does."""

    def answered(self, status: int, told: Sequence[Header]) -> Awaitable[None] | None:
        """None where the answer may go on at once; else it waits until this is done.

        `told` are the answer's `X-Kombo-*` headers. Raises `Refusal`, at once or when awaited: the client then gets
        that in place of the platform's answer.
        """
        ...

    def entered(self) -> None:
        """The request was let in, where another proxy forwards it and nobody hears of the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request on. `identity` is the block of the bridge's own header lines, each ended by CRLF.

    `personal` marks an answer that belongs to one learner: shared caching of it is switched off. `until` is the moment
    (`time.monotonic`) at which the session behind it ends; a tunnel or stream still open then is cut. `session` is the
    name under which `Decider.standing` can be asked, meanwhile, whether it has ended before or lasts longer. `witness`
    is told of the answer to this very request.

    `logged` are the members of the request's log line that say whose it is, as JSON without braces (`"tenant":"acme"`).
    """

    identity: bytes
    personal: bool = False
    until: float | None = None
    witness: Witness | None = None
    session: str | None = None
    whose: Whose = "anonymous"
    logged: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """Do not forward; this ASGI application answers."""

    app: ASGIApp


Decision = Forward | Answer


class Decider(Protocol):
    """Whom the forwarder asks."""

    def decide(self, head: Head) -> Decision | Awaitable[Decision]:
        """At once where the caches know, else awaitable. Never raises a `Refusal`: a refusal is an `Answer`."""
        ...

    def refuse(self, head: Head, refusal: Refusal) -> ASGIApp:
        """The page or problem document for something that went wrong in forwarding; logs it."""
        ...

    def standing(self, sessions: Collection[str]) -> Awaitable[Mapping[str, float]]:
        """Those of the sessions that live, each with the moment (`time.monotonic`) at which it will end by itself.

        A few hundred at a time. Raises `StateError` where that cannot be said.
        """
        ...
