"""Logs: structured, on stderr, one line each; libraries log only when something is wrong."""

import logging
import sys
import time
import traceback
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

from endocrine.agents._shared.redaction import KEYS, REDACTED, hides, redact_text

_OURS = str(Path(__file__).parents[2])
QUIET_S = 10.0
"""Seconds for which a line that was just logged is not logged again: clients retry many times a second."""
PERSISTS_S = 5.0
"""Seconds for which a client must go on complaining until it is heard: what passes sooner, it recovers from itself."""
REPEATED_S = 60.0
"""Seconds after which a complaint that goes on is logged again; a pause this long begins a new one."""
CLIENTS = ("aiokafka",)
"""Loggers of clients that log each of many tries, and raise what cannot be repaired."""
_REMEMBERED = 256


class Persisting(logging.Filter):
    """Drops a client's complaints unless they go on; faults with a traceback pass at once.

    Complaints of one logger and place in the code are one, whatever they name: an address, a partition, a member.
    """

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[tuple[str, int], tuple[float, float, float]] = {}
        """First and last time of the complaint, and when it was last logged (0: not yet)."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(CLIENTS) or record.exc_info:
            return True
        place, now = (record.name, record.lineno), record.created
        first, last, logged = self._since.pop(place, (now, now, 0.0))
        if now - last > REPEATED_S:
            first, logged = now, 0.0
        heard = now - first >= PERSISTS_S and now - logged >= REPEATED_S
        if heard and logged == 0.0:
            record.msg, record.args = f"{record.getMessage()} (for {now - first:.0f} s now; still trying)", ()
        if len(self._since) >= _REMEMBERED:
            del self._since[next(iter(self._since))]
        self._since[place] = (first, now, now if heard else logged)
        return heard


class Seldom:
    """Warns of what may happen with every request: at once, then at most once a second, with the number since."""

    def __init__(
        self, log: Any, event: str, *, each_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._event, self._each_s, self._clock = log, event, each_s, clock
        self._logged = float("-inf")
        self._times = 0

    def warning(self, **fields: Any) -> None:
        """Count it; log the latest with the count. fields: of this one."""
        self._times += 1
        now = self._clock()
        if now - self._logged >= self._each_s:
            self._log.warning(self._event, **fields, times=self._times)
            self._logged, self._times = now, 0


class Once(logging.Filter):
    """Drops a library's line that repeats the last one within a while."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[str, float] = ("", 0.0)

    def filter(self, record: logging.LogRecord) -> bool:
        message, (last, at) = record.getMessage(), self._last
        if message == last and record.created - at < QUIET_S:
            return False
        self._last = (message, record.created)
        return True


class Redacted(logging.Filter):
    """Takes out of a library's line what must not be shown."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact_text(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            record.msg, record.exc_info, record.exc_text = f"{record.msg} ({fault(record.exc_info[1])})", None, None
        return True


def redacted(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return a step of structlog that takes out of our own lines what must not be shown: by names, and by values of
    texts."""
    for name, value in event.items():
        if name != "event" and isinstance(value, str) and hides(name, KEYS):
            event[name] = REDACTED
        elif isinstance(value, str):
            event[name] = redact_text(value)
    return event


def fault(error: BaseException) -> str:
    """Return what an error is and where in this project it arose, without its text, which may repeat content.

    >>> fault(ValueError("a prompt"))
    'ValueError'
    """
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_OURS)]
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{where}"


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
        for kind in (Persisting, Once, Redacted):
            if not any(isinstance(one, kind) for one in handler.filters):  # commands may set up logs twice
                handler.addFilter(kind())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            redacted,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )
