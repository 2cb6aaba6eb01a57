"""The worker that `run` keeps alive."""

import asyncio
import sys

import pytest

from endocrine.pipeline.local.live import worker
from endocrine.pipeline.local.live.worker import WorkerChild, WorkerFailed
from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.settings import Settings

SLEEPS = "import signal, time; signal.signal(signal.SIGUSR1, lambda *_: print('tasks', flush=True)); time.sleep(600)"


async def test_a_worker_that_never_becomes_ready_is_started_again_after_its_log_has_what_it_waits_for(
    monkeypatch, tmp_path
):
    spawn = child.spawn
    monkeypatch.setattr(child, "spawn", lambda command, log, **more: spawn([sys.executable, "-c", SLEEPS], log, **more))
    monkeypatch.setattr(worker, "READY_S", 3.0)
    monkeypatch.setattr(worker, "_DUMP_S", 1.0)
    notes = []
    one = WorkerChild(
        Settings(data_dir=tmp_path), note=notes.append, bury=lambda: asyncio.sleep(0), restarts=0, name="worker"
    )
    with pytest.raises(WorkerFailed, match="signal 9"):
        await one.run()
    assert notes == [f"the worker was not ready after 3 s; it is started again; {tmp_path / 'worker.log'}"]
    assert (tmp_path / "worker.log").read_text() == "tasks\n"
