"""`kombo-bridge demo` as somebody runs it who reads what it prints."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import Running, kombo_bridge, log_lines, started

LINE = re.compile(r"^  (Open this:|the bridge|the platform|the IdP|Kombo|inside|the log) +(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class RunningDemo:
    process: Running
    start: str
    bridge: str
    platform: str
    idp: str
    kombo: str
    log: Path

    def refusals(self) -> list[dict[str, Any]]:
        """The bridge's log lines of what it refused, the latest last."""
        return [line for line in log_lines(self.log.read_text()) if line["event"] == "request_refused"]


@contextlib.contextmanager
def running_demo(folder: Path) -> Iterator[RunningDemo]:
    with started(kombo_bridge("demo"), folder / "demo.log") as process:
        process.wait_for_text("Stop with Ctrl-C.")
        told = dict(LINE.findall(process.text()))
        yield RunningDemo(
            process,
            start=told["Open this:"],
            bridge=told["the bridge"],
            platform=told["the platform"],
            idp=told["the IdP"],
            kombo=told["Kombo"].removesuffix("/v1"),
            log=Path(told["the log"]),
        )
        assert process.stop() == 0, process.text()
        assert "Traceback" not in process.text()
