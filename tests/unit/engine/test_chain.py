"""A chained topic: each record names the one before it on its partition, however batches are cut."""

from types import SimpleNamespace

import orjson
import pytest

from endocrine.agents.contract import Output
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.hash_chain import Chains, link_hash
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes

POLICY = SimpleNamespace(digest="0" * 64, canary=None, document=SimpleNamespace(time=SimpleNamespace(ahead_s=300.0)))


class Clerk:
    """Says one audit per signal."""

    name, sources, targets = "clerk", ("signals",), ("audits",)

    def key(self, trigger):
        return trigger.identity

    def process(self, state, trigger, policy):
        bundle = {"identity": trigger.identity, "audit_id": trigger.id, "ts": trigger.value.ts}
        return (state or 0) + 1, [Output("audits", trigger.identity, bundle)]


def signal(n, identity):
    value = {"identity": identity, "name": "stress", "level": 0.5, "ttl_ms": 1, "source": "t", "id": f"s{n}", "ts": 1.5}
    return "signals", Fetched(0, n, 0, identity.encode(), orjson.dumps(value))


def run(cuts):
    engine = Engine(Clerk(), 1, "test", Sizes(), simulated_seals())
    records = [signal(n, "ann" if n % 3 else "bob") for n in range(9)]
    states, watermarks, said = {}, {}, []
    for first, last in zip([0, *cuts], [*cuts, len(records)], strict=True):
        done = engine.process(records[first:last], POLICY, states.get, watermarks, partition=0)
        states |= done.states
        watermarks = done.watermarks
        said += [out.value for out in done.outputs]
    return said


def test_each_record_names_the_hash_of_the_one_before_it_across_identities():
    records = [orjson.loads(value) for value in run([])]
    assert len(records) == 9
    assert [record["previous"] for record in records] == [None, *[record["hash"] for record in records[:-1]]]
    assert all(record["hash"] == link_hash(record) for record in records)


@pytest.mark.parametrize("cuts", [[1], [4, 5], list(range(1, 9))])
def test_the_chain_does_not_depend_on_where_batches_are_cut(cuts):
    assert run(cuts) == run([])


def test_a_changed_field_changes_the_hash():
    record = orjson.loads(run([])[0])
    assert link_hash({**record, "ts": 2.5}) != record["hash"]


def test_where_an_end_is_lost_the_next_link_is_the_one_on_record_and_the_chain_goes_on_from_it():
    honest = Chains(None)
    first, second, third = (honest.linked("audits", {"n": n}, b"c%d" % n) for n in range(3))

    def recorded(topic, ce_id):
        return second["previous"] if (topic, ce_id) == ("audits", b"c1") else "wrong"

    again = Chains(None, recorded)
    again.lose("audits")  # the first cannot be made again
    later = Chains(again.state, recorded)
    assert [later.linked("audits", {"n": n}, b"c%d" % n) for n in (1, 2)] == [second, third]
    assert second["previous"] == first["hash"]
