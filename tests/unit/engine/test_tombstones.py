"""A record without a value, on a topic that is compacted and on one that is not."""

from types import SimpleNamespace

from endocrine.agents.contract import Output
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.catalogue import Topic
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes

CATALOGUE = {
    "kept": Topic("kept", dict, "compact", "read", "echo"),
    "passing": Topic("passing", dict, "delete", "read", "echo"),
    "out": Topic("out", dict, "delete", "written"),
}


class Echo:
    name, sources, targets = "echo", ("kept", "passing"), ("out",)

    def key(self, trigger):
        return trigger.identity

    def process(self, state, trigger, policy):
        return [trigger.id], [Output("out", trigger.identity, {"identity": trigger.identity})]


def read(topic):
    engine = Engine(Echo(), 1, "v", Sizes(), simulated_seals(), CATALOGUE)
    policy = SimpleNamespace(
        digest="0" * 64, canary=None, document=SimpleNamespace(time=SimpleNamespace(ahead_s=300.0))
    )
    return engine.process([(topic, Fetched(0, 7, 1000, b"ann", None))], policy, lambda key: None, {}, partition=0)


def test_a_tombstone_of_a_compacted_topic_is_read_and_nothing_comes_of_it():
    done = read("kept")
    assert (done.outputs, done.rejected_or_rerouted, done.states) == ([], [], {})


def test_a_null_value_where_none_belongs_is_a_dead_letter():
    done = read("passing")
    assert [out.topic for out in done.rejected_or_rerouted] == ["passing.dlq"]
    assert done.states == {}
