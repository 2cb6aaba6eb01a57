"""Captures: kept in the spool at once, sent in order from a thread, again and again until the gateway has them."""

import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from endocrine_client.protocol import Answer, Request, answer_of
from endocrine_client.spool import Spool, TooLarge

SEND_S = 10.0
"""Seconds that one sending may take."""
LONGEST_PAUSE_S = 30.0
_FIRST_PAUSE_S = 0.25
_log = logging.getLogger("endocrine_client")


@dataclass
class Counts:
    """What became of captures, in this process."""

    captured: int = 0
    delivered: int = 0
    refused: int = 0
    """The gateway will not take them: `reasons` says why."""
    evicted: int = 0
    """The spool was full, and they were the oldest."""
    lost: int = 0
    """They could not be written as JSON, or not into the spool."""
    failures: int = 0
    """Sendings that failed; their records stay."""
    reasons: Counter[str] = field(default_factory=Counter)


class Delivery:
    """The spool, the thread that empties it, and counts of both. send: posts a request within seconds.

    One sending at a time, so records of one identity arrive in the order of their capture.
    """

    def __init__(self, spool: Spool, send: Callable[[Request, float], Answer]) -> None:
        self.spool = spool
        self.counts = Counts()
        self._send = send
        self._sending = threading.Lock()
        self._counting = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._failing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send; what an earlier process left comes first."""
        if self._thread is None:
            self._closing.clear()
            self._wake.set()
            self._thread = threading.Thread(target=self._run, name="endocrine-delivery", daemon=True)
            self._thread.start()

    def capture(self, what: str, make: Callable[[], Request]) -> bool:
        """Keep the record that `make` makes. Never raises; False: it is lost, which is counted and logged by name."""
        try:
            record = make()
        except Exception as error:  # its text may hold content
            self.unusable(what, error)
            return False
        return self.keep(record)

    def keep(self, record: Request) -> bool:
        """Keep a record for sending, under the id it has. Never raises; False: it is lost."""
        try:
            evicted = self.spool.append(record)
        except (TooLarge, sqlite3.Error) as error:
            self._count("lost", f"{record.path}: {type(error).__name__}: {error}")
            return False
        self._count("captured")
        if evicted:
            self._count("evicted", "the spool is full: its oldest records went", evicted)
        self._wake.set()
        return True

    def deliver(self, within_s: float, identity: str | None = None) -> bool:
        """Send what is there, of one identity or all, in order. True: nothing is left. Never raises."""
        until = time.monotonic() + within_s
        while True:
            left = until - time.monotonic()
            try:
                if self.spool.first(identity) is None:
                    return True
                if left <= 0 or not self._next(left, identity):
                    return False
            except sqlite3.Error as error:
                self._count("failures", f"the spool: {type(error).__name__}: {error}")
                return False

    def close(self, within_s: float) -> None:
        """Send what can be sent within these seconds, and end; the rest stays in the spool."""
        until = time.monotonic() + within_s
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(within_s)
        if self._thread is None or not self._thread.is_alive():
            self.deliver(max(0.0, until - time.monotonic()))
            self.spool.close()
        self._thread = None

    def unusable(self, what: str, error: Exception) -> None:
        """Count and log a record that cannot be made of what the application gave."""
        self._count("lost", f"{what}: cannot be written as a record: {type(error).__name__}")

    def refused(self, path: str, answer: Answer) -> None:
        """Count and log a record that the gateway does not take."""
        self._count("refused", f"{path}: {answer}")

    def _next(self, within_s: float, identity: str | None) -> bool:
        """Send the oldest record. False: it stays."""
        # While the gateway is away one caller tries; the others do not queue up behind its timeout.
        if not self._sending.acquire(timeout=0 if self._failing and identity is not None else within_s):
            return False
        try:
            found = self.spool.first(identity)
            if found is None:
                return True
            seq, record = found
            answer = self._send(record, min(SEND_S, within_s))
            self._failing = answer.fate == "retry"
            if answer.fate == "retry":
                self._count("failures", f"{record.path}: {answer}; it stays in the spool")
                return False
            if answer.fate == "refused":
                self.refused(record.path, answer)
            else:
                self._count("delivered")
            self.spool.remove(seq)
            return True
        finally:
            self._sending.release()

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            while not self._closing.is_set() and not self._emptied():
                self._closing.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            pause_s = _FIRST_PAUSE_S

    def _emptied(self) -> bool:
        """Send until nothing is left, or one stays."""
        try:
            while not self._closing.is_set() and self.spool.first() is not None:
                if not self._next(SEND_S, None):
                    return False
            return True
        except sqlite3.Error as error:
            self._count("failures", f"the spool: {type(error).__name__}: {error}")
            return False

    def _count(self, what: str, reason: str | None = None, by: int = 1) -> None:
        with self._counting:
            setattr(self.counts, what, getattr(self.counts, what) + by)
            if reason is not None:
                known = reason in self.counts.reasons
                if known or len(self.counts.reasons) < 100:
                    self.counts.reasons[reason] += by
        if reason is not None:
            # Once loudly: an outage would fill the application's log.
            _log.log(logging.DEBUG if known else logging.WARNING, "%s: %s", what, reason)


def post(http: httpx.Client, record: Request, within_s: float) -> Answer:
    """Send a request. Never raises: where nothing comes back, the status is 0."""
    try:
        response = http.post(
            record.path, content=record.content, headers=headers_of(record), timeout=httpx.Timeout(within_s)
        )
        return answer_of(response.status_code, response.content, response.headers)
    except Exception as error:  # whatever it is: an application must not end by it
        return Answer(0, {}, {}, type(error).__name__)


def headers_of(record: Request) -> dict[str, str]:
    """Headers of a record."""
    return {"content-type": "application/json", "idempotency-key": record.key}
