"""A line of log never stops the work that it tells of."""

import io
import logging
import sys

import pytest
import structlog

from endocrine.pipeline.process.logs import Once, Persisting, Redacted, Seldom, set_up_logs


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


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "coloured"), [(io.StringIO, False), (Terminal, True)])
def test_colours_are_for_terminals_and_not_for_files(monkeypatch, stream, coloured):
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    set_up_logs()
    structlog.get_logger("test").warning("here")
    assert ("\x1b[" in shown.getvalue()) is coloured


def complaint(second, line=1, exc_info=None):
    record = logging.LogRecord("aiokafka", logging.ERROR, "client.py", line, "Unable connect", (), exc_info)
    record.created = 1_000_000.0 + second
    return record


def test_a_client_is_heard_once_its_complaint_goes_on_and_then_once_a_minute():
    persisting = Persisting()
    heard = [second for second in range(200) if persisting.filter(complaint(second))]
    assert heard == [5, 65, 125, 185]


def test_complaints_that_pass_and_come_again_later_are_not_heard():
    persisting = Persisting()
    assert not any(persisting.filter(complaint(hour * 3600 + second)) for hour in range(5) for second in range(4))


def test_a_fault_with_a_traceback_and_lines_of_others_pass_at_once():
    persisting = Persisting()
    fault = (ValueError, ValueError("x"), None)
    assert persisting.filter(complaint(0, exc_info=fault))
    ours = complaint(0)
    ours.name = "endocrine.pipeline.x"
    assert persisting.filter(ours)


def test_logs_may_be_set_up_twice(monkeypatch):
    handler = logging.Handler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    set_up_logs()
    set_up_logs()
    assert [type(one) for one in handler.filters] == [Persisting, Once, Redacted]


def test_what_happens_with_every_request_is_logged_once_a_second_with_its_number():
    lines, now = [], [0.0]

    class Log:
        def warning(self, event, **fields):
            lines.append((now[0], event, fields["of"], fields["times"]))

    seldom = Seldom(Log(), "late", clock=lambda: now[0])
    for tenth in range(25):
        now[0] = tenth / 10
        seldom.warning(of=tenth)
    assert lines == [(0.0, "late", 0, 1), (1.0, "late", 10, 10), (2.0, "late", 20, 10)]
