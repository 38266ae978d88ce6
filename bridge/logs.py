"""The log: one JSON object a line on standard error, ours and the libraries' alike."""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
from collections.abc import Iterator

import structlog

from bridge.lines import Lines

QUIET = ("httpx", "httpcore", "alembic", "uvicorn.access")


class _Output:
    """Standard error as it is at the moment of writing, or the `lines` that go there in the background."""

    lines: Lines | None = None

    def write(self, text: str) -> int:
        if self.lines is not None:
            return self.lines.write(text)
        return sys.stderr.write(text) if sys.stderr else 0

    def flush(self) -> None:
        if self.lines is None and sys.stderr:
            sys.stderr.flush()


_output = _Output()


@contextlib.contextmanager
def in_background() -> Iterator[Lines | None]:
    """From here on nobody waits for whoever reads standard error; None where the process has been given none.

    When the block ends, what waits is written, and so is each later line before its writer goes on; for a moment only
    where nobody reads.
    """
    if not sys.stderr:
        yield None
        return
    sys.stderr.flush()
    lines = _output.lines = Lines(sys.stderr.fileno())
    atexit.register(lines.end)
    try:
        yield lines
    finally:
        lines.end()


def written_to(lines: Lines) -> structlog.typing.FilteringBoundLogger:
    """A log of its own, whose lines have the shape of all others."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(lines),  # type: ignore[arg-type]  # write and flush are all it calls
        processors=[*_shared(), structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return logger


def repeat(line: str) -> None:
    """Put a whole line into the log, as it was made for another place; ended by LF."""
    _output.write(line)


def _shared() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def configure(level: int = logging.INFO) -> None:
    """Set up structlog, and the standard library's logging through it."""
    shared = _shared()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_output),  # type: ignore[arg-type]  # write and flush are all it calls
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
