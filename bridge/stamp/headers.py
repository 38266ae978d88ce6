"""The identity headers of one request: a block of bytes that the proxy inserts as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from bridge.stamp.assertion import Signer
from bridge.stamp.identity import Access, Learner

_VALUES: Mapping[str, Callable[[Learner | None, Access | None], str | None]] = {
    "X-Kombo-User": lambda learner, _: learner.user_id if learner else None,
    "X-Kombo-Remote-Id": lambda learner, _: learner.remote_id if learner else None,
    "X-Kombo-Tenant": lambda learner, _: learner.tenant if learner else None,
    "X-Kombo-Integration": lambda learner, _: learner.integration_id if learner else None,
    "X-Kombo-Email": lambda learner, _: learner.email if learner else None,
    "X-Kombo-Name": lambda learner, _: learner.name if learner else None,
    "X-Kombo-Course": lambda _, access: access.course if access else None,
    "X-Kombo-Enrollment": lambda _, access: access.enrollment if access else None,
    "X-Kombo-Progression": lambda _, access: access.progression if access else None,
}
_ASSERTION = "X-Kombo-Assertion"

NAMES = (*_VALUES, _ASSERTION)
"""Every header of the contract's (section 5), in the order in which they are written."""


class Stamp:
    """Writes the contract's headers (section 5). `extra` maps further names to `sub`, `kombo_user`, `tenant` or
    `email`.
    """

    def __init__(self, signer: Signer, extra: Mapping[str, str], clock: Callable[[], float] = time.time) -> None:
        self._signer = signer
        self._extra = dict(extra)
        self._clock = clock

    def block(self, learner: Learner | None, access: Access | None = None) -> bytes:
        """Header lines, each ended by CRLF. Every name is always written; what there is nothing to say of is empty."""
        token = self._signer.sign(learner, access, int(self._clock()))
        lines: dict[str, str | None] = {name: value(learner, access) for name, value in _VALUES.items()} | {
            _ASSERTION: token
        }
        for name, claim in self._extra.items():
            lines[name] = _claim(learner, claim) if learner else None
        return "".join(f"{name}: {encode(value or '')}\r\n" for name, value in lines.items()).encode("ascii")


def listed(names: Iterable[str]) -> str:
    """Names of headers as one value, the same for the same names."""
    return ",".join(sorted(map(str.lower, names)))


def _claim(learner: Learner, claim: str) -> str | None:
    """An address is nobody's identity outside its tenant's own domains (the contract, section 2)."""
    if claim == "email":
        return learner.email if learner.email_trusted else None
    values = {"sub": learner.sub, "kombo_user": learner.user_id, "tenant": learner.tenant}
    return values[claim]


def encode(value: str) -> str:
    """A text as a header value: `%`, leading and trailing spaces, and all but printable ASCII escaped."""
    if value.isascii() and value.isprintable() and "%" not in value and value == value.strip(" "):
        return value
    core = value.strip(" ")
    lead = len(value) - len(value.lstrip(" ")) if core else 0
    trail = len(value) - lead - len(core)
    middle = "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}" for byte in core.encode("utf-8")
    )
    return "%20" * lead + middle + "%20" * trail
