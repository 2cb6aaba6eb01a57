"""A revocation waits for what must not be cut short, and cancels the rest."""

import asyncio
from types import SimpleNamespace

from endocrine.pipeline.runtime.worker.processor_manager import ProcessorManager
from waiting import until


async def test_a_processor_is_not_cancelled_between_checkpoint_and_the_end_of_its_outputs():
    class Processor:
        """Critical until the end of its outputs, which is only after it was looked at twice."""

        produced, looks = False, 0

        @property
        def critical(self):
            self.looks += 1
            return not self.produced

    processor = Processor()
    ended = []

    async def lives():
        try:
            await until(lambda: processor.looks >= 2)  # checkpointed, and producing
            ended.append("produced")
            processor.produced = True
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    task = asyncio.create_task(lives())
    await asyncio.sleep(0)
    manager = SimpleNamespace(
        processors={("echo", 0): processor},
        _tasks={("echo", 0): task},
        _recoveries=[],
        _fenced=set(),
        _ports={},
        _stores=[],
    )
    await ProcessorManager.stop_processors(manager)
    assert ended == ["produced", "cancelled"]
    assert task.cancelled()
    assert not manager.processors


async def test_a_stopping_processor_begins_no_batch_and_waits_for_its_outputs():
    did = []

    class Processor:
        name, stopping, tally = "echo/0", False, SimpleNamespace(read=0, failed=0)

        async def step(self):
            did.append("checkpointed")
            self.stopping = True

        async def stop(self):
            did.append("produced")

    await ProcessorManager._live(SimpleNamespace(_fenced=set()), Processor())
    assert did == ["checkpointed", "produced"]
