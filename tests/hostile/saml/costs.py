"""What one call costs this process: CPU seconds, and memory at its highest point; and what refusing a message may cost.

Memory is what the kernel counts (VmHWM), so that it includes what libxml2, libxmlsec and OpenSSL allocate behind
Python's back. What earlier calls have freed is given back first: a call that merely used it again would look cheap.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import SamlRefusal

CPU_SECONDS = 1.0
MEMORY_BYTES = 64 * 2**20
REASON_LIMIT = 1200

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass(frozen=True)
class Cost:
    """`memory` is in bytes; None where the system does not tell."""

    seconds: float
    memory: int | None


def cost_of(work: Callable[[], object]) -> Cost:
    """Runs it once."""
    before = _reset_peak()
    started = time.process_time()
    work()
    seconds = time.process_time() - started
    return Cost(seconds, None if before is None else _kilobytes("VmHWM") * 1024 - before)


def assert_refused(read: Callable[[], object], case: Mapping[str, Any], *private: str) -> None:
    """Refused by the case's check and quickly, in a sentence fit for a log that holds none of the `private` words."""
    refusals: list[SamlRefusal] = []

    def attempt() -> None:
        with pytest.raises(SamlRefusal) as caught:
            read()
        refusals.append(caught.value)

    cost = cost_of(attempt)
    (refusal,) = refusals
    assert (refusal.code.value, refusal.check) == (case.get("code", "saml_rejected"), case["check"]), refusal.reason
    assert cost.seconds < CPU_SECONDS
    assert (cost.memory or 0) < MEMORY_BYTES
    assert len(refusal.reason) < REASON_LIMIT
    assert refusal.reason.isprintable()
    assert not any(word in refusal.reason for word in private)


def _reset_peak() -> int | None:
    """Resident bytes now, from where the peak is counted anew."""
    if not _CLEAR.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text(_RESET_PEAK)
    return _kilobytes("VmRSS") * 1024


def _kilobytes(name: str) -> int:
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1])
