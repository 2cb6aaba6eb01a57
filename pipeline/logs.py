"""Logs: structured, on stderr, one line each; libraries speak only when something is wrong."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog

QUIET_S = 10.0
"""Seconds for which a line that was just logged is not logged again: clients retry many times a second."""


def kind_and_place(error: BaseException) -> str:
    """What an error is and where it was raised, without its message: that may hold what people wrote.

    >>> kind_and_place(ValueError("a prompt"))
    'ValueError'
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return type(error).__name__
    return f"{type(error).__name__} in {last.tb_frame.f_code.co_qualname}, line {last.tb_lineno}"


class Once(logging.Filter):
    """Drops a library's line that repeats the last one within a while."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[str, float] = ("", 0.0)

    def filter(self, record: logging.LogRecord) -> bool:
        told, (last, at) = record.getMessage(), self._last
        if told == last and record.created - at < QUIET_S:
            return False
        self._last = (told, record.created)
        return True


class _Stderr:
    """Standard error as it is when a line is written, not as it was when logs were set up. Its loss stops nothing."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def set_up_logs(level: str = "INFO") -> None:
    """Configure structlog and quiet the libraries. level: of our own loggers."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Once())
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )
