"""What one call costs this process: CPU seconds, and memory at its highest point.

Memory is what the kernel counts (VmHWM), so that it includes what libxml2, libxmlsec and OpenSSL allocate behind
Python's back. What earlier calls have freed is given back first: a call that merely used it again would look cheap.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
