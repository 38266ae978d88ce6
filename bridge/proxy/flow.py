"""Whether a client's socket is read, and who asked that it should not be."""

from __future__ import annotations

import asyncio
from enum import IntFlag

from uvicorn.protocols.http.flow_control import FlowControl


class Hold(IntFlag):
    """Why reading is paused. While it is, a client that has left goes unnoticed, so each reason bounds memory."""

    BODY = 1  # held bytes of a body wait for whoever consumes them
    UPSTREAM = 2  # the platform does not read as fast as the client sends
    PIPELINE = 4  # several requests wait behind the running one


class Flow(FlowControl):
    """uvicorn's flow control has one flag, which its request cycle clears on its own account; here each reason is kept
    apart.

    To that cycle, pausing and resuming mean the body.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self.holds = Hold(0)

    def hold(self, reason: Hold) -> None:
        if not self.holds and not self._transport.is_closing():
            self._transport.pause_reading()
        self.holds |= reason

    def release(self, reason: Hold) -> None:
        if self.holds:
            self.holds &= ~reason
            if not self.holds and not self._transport.is_closing():
                self._transport.resume_reading()

    def pause_reading(self) -> None:
        self.hold(Hold.BODY)

    def resume_reading(self) -> None:
        self.release(Hold.BODY)
