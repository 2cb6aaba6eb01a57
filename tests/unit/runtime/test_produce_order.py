"""The journal record of a batch is produced when all its other outputs are acknowledged."""

import asyncio

import pytest

from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.worker.kafka_broker_port import KafkaBrokerPort


class SlowBroker:
    """Acknowledges after some turns of the event loop, fewer the later it was asked; notes what was begun and ended."""

    def __init__(self):
        self.settings = Settings()
        self.notes = []

    async def send(self, topic, partition, records, common):
        name = topic.removeprefix(self.settings.prefix)
        self.notes.append(("begun", name, partition, [record.value for record in records]))
        for _ in range(20 - len(self.notes)):
            await asyncio.sleep(0)
        self.notes.append(("acknowledged", name, partition, [record.value for record in records]))


def out(topic, partition, value):
    return OutputRecord(topic, partition, b"ann", value, (), True)


@pytest.mark.parametrize("place", [0, 1, 3], ids=["first", "between", "last"])
async def test_the_journal_record_goes_out_when_all_else_is_acknowledged_wherever_it_is_in_the_outbox(place):
    outbox = [out("incidents", 0, b"1"), out("tool-decisions", 1, b"2"), out("incidents", 0, b"3")]
    outbox.insert(place, out("journal", 0, b"j"))
    broker = SlowBroker()
    port = KafkaBrokerPort(broker, "gating", 0, ["tool-calls"], on_pressure=lambda _: None, buffer_bytes=1000)
    await port.produce(outbox, ())
    assert broker.notes[-2:] == [("begun", "journal", 0, [b"j"]), ("acknowledged", "journal", 0, [b"j"])]
    begun = [note[1:] for note in broker.notes if note[0] == "begun"]
    assert begun == [("incidents", 0, [b"1", b"3"]), ("tool-decisions", 1, [b"2"]), ("journal", 0, [b"j"])]


async def test_where_all_outputs_go_to_one_partition_the_journal_record_is_last_too():
    broker = SlowBroker()
    port = KafkaBrokerPort(broker, "gating", 0, ["tool-calls"], on_pressure=lambda _: None, buffer_bytes=1000)
    await port.produce([out("journal", 0, b"j"), out("incidents", 0, b"1")], ())
    assert [note[:2] for note in broker.notes] == [
        ("begun", "incidents"),
        ("acknowledged", "incidents"),
        ("begun", "journal"),
        ("acknowledged", "journal"),
    ]
