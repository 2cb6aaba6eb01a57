"""Replays that pages start: progress, results, a stop, bounds, and nothing left behind."""

import sys

import pytest

from endocrine.pipeline.console.tasks import Busy, Tasks
from waiting import until

REPORT = "import sys; sys.stdout.write('{\"found\": 3}')"
WAITS = 'import sys, threading; print(\'{"step": "s", "done": 1, "total": 4}\', file=sys.stderr, flush=True); '
WAITS += "threading.Event().wait()"


def tasks(code, **more):
    return Tasks(lambda: {"ENDOCRINE_PREFIX": "p."}, program=(sys.executable, "-S", "-c", code), **more)


def start(of, **more):
    return of.start("verify", [], **{"about": "all", "by": "ann", **more})


async def test_a_report_is_kept_and_the_folder_is_gone():
    mine = tasks(REPORT)
    task = start(mine)
    await mine.finished(task)
    assert (task.status, task.report, task.error) == ("done", {"found": 3}, None)
    assert not task.folder.exists()
    assert mine.get(task.id) is task


SHOWS = """
import json, os, sys, tempfile
shown = {"policy": open(sys.argv[-1]).read(), "prefix": os.environ["ENDOCRINE_PREFIX"], "folder": tempfile.mkdtemp()}
print(json.dumps(shown | {"first": sys.argv[1]}))
"""


async def test_the_command_has_its_policy_its_settings_and_a_temporary_folder_of_its_own():
    mine = tasks(SHOWS)
    task = mine.start("what-if", ["--from=1"], about="", by="ann", policy="flags: {é: 1}".encode())
    await mine.finished(task)
    assert task.report is not None, task.error
    assert task.report.pop("folder").startswith(str(task.folder))
    assert task.report == {"policy": "flags: {é: 1}", "prefix": "p.", "first": "--from=1"}
    assert not task.folder.exists()


async def test_progress_is_the_last_line_of_it_and_a_stop_ends_the_process():
    mine = tasks(WAITS)
    task = start(mine)
    await until(lambda: task.progress() is not None)
    progress = task.progress()
    assert (progress.step, progress.done, progress.total, progress.share) == ("s", 1, 4, 25.0)
    mine.stop(task, "bob")
    mine.stop(task, "eve")
    await mine.finished(task)
    assert (task.status, task.error, task.process.returncode) == ("stopped", "bob stopped it.", -15)
    assert task.progress() is None


async def test_one_that_takes_too_long_is_stopped():
    mine = tasks(WAITS, longest_s=0.01)
    task = start(mine)
    await mine.finished(task)
    assert (task.status, task.error) == ("stopped", "It took longer than 0.01 s and was stopped.")


async def test_more_than_may_run_are_refused_and_room_comes_back():
    mine = tasks(WAITS, running=2)
    first, second = start(mine), start(mine)
    with pytest.raises(Busy, match="2 replays run already"):
        start(mine)
    mine.stop(first, "ann")
    await mine.finished(first)
    third = start(mine)
    for task in (second, third):
        mine.stop(task, "ann")
        await mine.finished(task)
    assert [task.id for task in mine.listed()] == [third.id, second.id, first.id]


async def test_only_the_newest_results_are_kept():
    mine = tasks(REPORT, kept=2)
    made = []
    for _ in range(4):
        made.append(start(mine))
        await mine.finished(made[-1])
    assert [mine.get(task.id) is not None for task in made] == [False, True, True, True]  # two, and the newest


FAILS = """
import sys
for line in ("broker x (y)", '{"step": 1}', f"error: {sys.argv[-1]}:2: no"):
    print(line, file=sys.stderr)
sys.exit(2)
"""


async def test_what_went_wrong_is_kept_without_the_folder_and_without_progress():
    mine = tasks(FAILS)
    task = mine.start("what-if", [], about="", by="ann", policy=b"x")
    await mine.finished(task)
    assert (task.status, task.error) == ("failed", "policy.yaml:2: no")


@pytest.mark.parametrize("output", ["nothing", "[1]", ""])
async def test_a_report_that_is_no_object_is_a_failure(output):
    mine = tasks(f"import sys; sys.stdout.write({output!r})")
    task = start(mine)
    await mine.finished(task)
    assert task.status == "failed"
    assert "no JSON" in task.error


async def test_the_newest_proof_of_a_turn_is_found():
    mine = tasks(REPORT)
    found = [start(mine, audit_id="t1"), start(mine, audit_id="t2")]
    for task in found:
        await mine.finished(task)
    assert mine.of_turn("t1") is found[0]
    assert mine.of_turn("t3") is None


async def test_an_argument_with_a_nul_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="null"):
        tasks(REPORT).start("verify", ["--identity=a\0b"], about="", by="ann")
    assert list(tmp_path.iterdir()) == []


async def test_a_replay_ends_with_the_gateway():
    mine = tasks(WAITS)
    task = start(mine)
    await until(lambda: task.progress() is not None)
    mine._watching[task.id].cancel()
    await until(lambda: not mine._watching)
    assert task.process.returncode is not None
    assert task.status == "failed"
    assert not task.folder.exists()
