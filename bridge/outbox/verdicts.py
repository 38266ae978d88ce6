"""What an answer that is no success means for a write: it may pass, it will not pass, or nobody here knows.

Kombo asks to branch on `code` alone, an open string; where the code says nothing, a 404 does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import httpx

from bridge.errors import BridgeError, KomboError, KomboRefused, KomboUnavailable
from bridge.kombo.answers import Repeat, Unusable


class Fate(Enum):
    PASSES = "about Kombo, the integration or the LMS as a whole: all its writes wait, then go on"
    BOUNDED = "perhaps about this write alone: tried again for about a day, the others go on"
    FINAL = "about this write, and the same however often it is sent: it gives up"


FATES: dict[str, Fate] = {
    # Our key, our address, our configuration: the operator mends it, and nothing is wrong with the writes.
    "PLATFORM.AUTHENTICATION_INVALID": Fate.PASSES,
    "PLATFORM.IP_NOT_WHITELISTED": Fate.PASSES,
    "PLATFORM.INTEGRATION_NOT_FOUND": Fate.PASSES,
    # The customer's connection is being made, or has to be made again.
    "INTEGRATION.AUTHENTICATION_INVALID": Fate.PASSES,
    "INTEGRATION.INACTIVE": Fate.PASSES,
    "INTEGRATION.QA_FAILED": Fate.PASSES,
    "INTEGRATION.SETUP_INCOMPLETE": Fate.PASSES,
    "INTEGRATION.SETUP_SYNC_PENDING": Fate.PASSES,
    # The LMS is away or busy. (Codes of rate limits never come here: `bridge.kombo.answers` makes them "no answer".)
    "REMOTE.SERVICE_UNAVAILABLE": Fate.PASSES,
    # This very write is wrong in Kombo's or the LMS's eyes.
    "PLATFORM.INPUT_INVALID": Fate.FINAL,
    "REMOTE.INPUT_INVALID": Fate.FINAL,
    # This integration cannot do, or may not do, what is asked. Another action of it may still work, so the others are
    # tried; `outbox retry --all-dead` once the scope is there.
    "INTEGRATION.ACTION_DISABLED": Fate.FINAL,
    "INTEGRATION.ACTION_NOT_AVAILABLE": Fate.FINAL,
    "INTEGRATION.MODEL_DISABLED": Fate.FINAL,
    "INTEGRATION.MODEL_NOT_AVAILABLE": Fate.FINAL,
    "INTEGRATION.PERMISSION_MISSING": Fate.FINAL,
    # Kombo itself does not know: the LMS answered with something, or with nothing.
    "PLATFORM.TASK_TIMED_OUT": Fate.BOUNDED,
    "PLATFORM.UNKNOWN_ERROR": Fate.BOUNDED,
    "REMOTE.UNKNOWN_HTTP_ERROR": Fate.BOUNDED,
}


class Unsendable(BridgeError):
    """What the directory knows is not enough to send a write. A later sync may bring it."""


class Misfit(Unsendable):
    """Kombo says to have done something else than it was asked: to somebody else, or in another course. Asking again
    could do that again.
    """


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` and `message` are for the operator who looks at the write; `wait` is what Kombo asked for, in seconds."""

    fate: Fate
    code: str | None = None
    message: str | None = None
    wait: float | None = None


def judge(error: Exception) -> Verdict:
    """What becomes of a write that met this."""
    if isinstance(error, KomboRefused):
        return Verdict(_fate(error), error.kombo_code or None, error.message or str(error))
    if isinstance(error, KomboUnavailable):
        return Verdict(Fate.PASSES, None, str(error), error.retry_after)
    if isinstance(error, Misfit):
        return Verdict(Fate.FINAL, None, str(error))
    if isinstance(error, Unsendable | KomboError):
        return Verdict(Fate.BOUNDED, None, str(error))
    return Verdict(Fate.BOUNDED, None, f"a fault of the bridge's own: {type(error).__name__}")


def did_nothing(error: KomboError) -> bool:
    """Whether a call that ended so has certainly not been carried out, so that it may be made again unseen. An LMS that
    is called unavailable may have had the call, and been too slow to say so.
    """
    if isinstance(error, KomboRefused):
        return _fate(error) is not Fate.BOUNDED and error.kombo_code != "REMOTE.SERVICE_UNAVAILABLE"
    return isinstance(error, Unusable) and error.repeat is Repeat.ALWAYS


def _fate(error: KomboRefused) -> Fate:
    unknown = Fate.FINAL if error.status == httpx.codes.NOT_FOUND else Fate.BOUNDED
    return FATES.get(error.kombo_code, unknown)
