"""Progress for programs: JSON lines on stderr, not more often than somebody looks."""

from types import SimpleNamespace

import orjson

from endocrine.pipeline.cli import common


def test_progress_is_json_lines_seldom_and_the_end_is_always_among_them(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(common, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with common.bars(as_lines=True) as titled:
        progress = titled("reading")
        for done in range(5):
            progress(done, 5)
        now[0] += common.LINE_S
        progress(3, 5)
        progress(5, 5)
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [{"step": "reading", "done": done, "total": 5} for done in (0, 3, 5)]


def test_without_it_nothing_is_written_where_nobody_looks(capsys):
    with common.bars() as titled:
        titled("reading")(1, 2)
    assert capsys.readouterr().err == ""
