"""What is known of a request that is over."""

from __future__ import annotations

import msgspec

from bridge.errors import Code
from bridge.proxy.request import Answerer, Outcome

PATH_BYTES = 512
ADDRESS_BYTES = 64


class Ended(msgspec.Struct, gc=False):
    """Copied out of an `Exchange` (which see), so that nothing of the request itself is kept longer than it runs.

    `moment` is when it ended; `target` and the `client`'s address are cut off. It refers to no containers, hence `gc`.
    """

    moment: float
    began: float
    asked: float
    heard: float
    status: int
    sent: int
    received: int
    whose: Answerer
    outcome: Outcome | None
    code: Code | None
    reference: str
    logged: bytes
    method: bytes
    target: bytes
    client: str
