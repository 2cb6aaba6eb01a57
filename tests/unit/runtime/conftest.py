"""A unit over a broker in memory, run to rest or stopped before a given effect."""

import random
from types import SimpleNamespace

import pytest

from endocrine.agents.contract import Output
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.catalogue import Topic
from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.state_stores import MemoryStore
from simbroker.broker import MemoryBroker, MemoryPort

CATALOGUE = {
    "in": Topic("in", dict, "delete", "read", "echo", producer_dedup=True),
    "also": Topic("also", dict, "delete", "read too", "echo"),
    "out": Topic("out", dict, "delete", "written"),
}


SEALS = simulated_seals()


class Echo:
    """Keeps the ids it has seen and says each; `say` says so many, `end` finishes the key."""

    name, sources, targets = "echo", ("in", "also"), ("out",)

    def key(self, trigger):
        return trigger.identity

    def process(self, state, trigger, policy):
        if trigger.value.get("fail"):
            raise ZeroDivisionError("as told")
        after = None if trigger.value.get("end") else [*(state or []), trigger.id]
        value = {"identity": trigger.identity, "seen": after, "pad": trigger.value.get("pad", "")}
        return after, [Output("out", trigger.identity, value)] * trigger.value.get("say", 1)


class World:
    """One partition, one agent."""

    def __init__(self):
        self.broker = MemoryBroker()
        self.engine = Engine(Echo(), 1, "v", Sizes(), simulated_seals(), CATALOGUE)
        self.log = self.broker.changelogs["echo", 0]
        self.processors = 0

    def send(self, topic, name, identity="ann", headers=(), sealed=False, **value):
        import orjson

        content = orjson.dumps({"id": name, "identity": identity, "ts": 1.0, **value})
        if sealed:
            parts = (dict(headers).get(name) for name in ("ce_id", "endocrine-origin", "endocrine-rekeyed-from"))
            headers = (*headers, ("endocrine-seal", SEALS.seal(topic, 0, identity.encode(), content, *parts)))
        self.broker.append("input", OutputRecord(topic, 0, identity.encode(), content, headers, False))

    def processor(self, port=MemoryPort, max_records=10, max_bytes=1 << 20, ahead=1000, store=None, batch_size=None):
        self.processors += 1
        mine = port(self.broker, f"u{self.processors}", "echo", 0, Echo.sources, random.Random(1), unrest=0, faults=0)
        policy = SimpleNamespace(
            digest="0" * 64, canary=None, document=SimpleNamespace(time=SimpleNamespace(ahead_s=300.0))
        )
        return PartitionProcessor(
            self.engine,
            0,
            mine,
            MemoryStore() if store is None else store,
            lambda: policy,
            max_records=max_records,
            max_bytes=max_bytes,
            ahead=ahead,
            batch_size=batch_size,
        )

    def life(self, processor=None):
        return (processor or self.processor()).run()

    def rest(self, life):
        """Step until it has nothing to do."""
        idle = 0
        while idle < 2:
            idle = idle + 1 if life.send(None) == "idle" else 0

    def until(self, life, word):
        """Step until the trace has a new event with this word; the life then stands before its next effect."""
        before = len(self.broker.trace)
        while not any(word in event for event in self.broker.trace[before:]):
            life.send(None)

    def said(self, topic="out"):
        """ids on a topic."""
        return [dict(raw.headers)["ce_id"].decode() for raw in self.broker.topics[topic, 0]]

    def values(self, topic):
        import orjson

        return [orjson.loads(raw.value) for raw in self.broker.topics[topic, 0]]


@pytest.fixture
def world():
    return World()
