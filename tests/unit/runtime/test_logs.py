"""A line of log never stops the work that it tells of."""

import io
import sys

import structlog

from pipeline.logs import set_up_logs


def test_a_log_outlives_the_stream_that_stood_there_when_it_was_set_up(monkeypatch):
    gone, now = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", gone)
    set_up_logs()
    log = structlog.get_logger("test")
    log.warning("first")
    gone.close()
    log.warning("nowhere to go")  # raises nothing
    monkeypatch.setattr(sys, "stderr", now)
    log.warning("second")
    assert "second" in now.getvalue()
