"""Kafka allows null as a header's content: under a name of ours it counts as none, and is passed on."""

import orjson
import pytest

from endocrine.agents.registry import AGENTS, MODULATION
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.changelog import CLAIM_HEADER, epoch_of
from endocrine.pipeline.core.outbox import Outbox, compress_outbox, decode_outbox, pack_outbox
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.policy_files import shipped_policy

OURS = ("ce_id", "traceparent", "endocrine-origin", "endocrine-rekeyed-from", "endocrine-error", "endocrine-error-kind")
NULLS = tuple((name, None) for name in (*OURS, "mine"))
ANN = partition_of("ann", 4)
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OPENED = {
    "kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "c",
    "prompt": "Hello?", "ts": 1.0,
}  # fmt: skip


def processed(*values, headers=NULLS, place=ANN):
    """What the modulation agent makes of these interactions, in one batch."""
    raws = [
        Fetched(place, n, 0, b"ann", value if isinstance(value, bytes) else orjson.dumps(value), headers)
        for n, value in enumerate(values)
    ]
    engine = Engine(MODULATION, 4, "1", Sizes(), simulated_seals())
    return engine.process([("interactions", raw) for raw in raws], shipped_policy(), {}.get, {}, partition=place)


@pytest.mark.parametrize("name", [None, "i1"])
def test_null_headers_of_a_record_change_nothing_of_what_follows_from_it(name):
    record = OPENED if name is None else {**OPENED, "id": name}
    done = processed(record)
    assert done == processed(record, headers=())
    assert done.outputs[0].own[0] == ("ce_id", f"modulation/{name or f'interactions/{ANN}/0'}/0".encode())


def test_a_header_with_content_beside_null_ones_says_what_it_says():
    headers = [(name, content or {"ce_id": b"c1", "traceparent": TRACE}.get(name)) for name, content in NULLS]
    own = dict(processed(OPENED, headers=headers).outputs[0].own)
    assert (own["ce_id"], own["traceparent"]) == (b"modulation/c1/0", TRACE)


def test_a_producers_retry_is_recognised_though_its_origin_is_null():
    assert processed({**OPENED, "id": "i1"}, {**OPENED, "id": "i1"}).tally.copies == 1


def test_a_malformed_records_null_headers_stand_on_its_dead_letter():
    (letter,) = processed(b"{").rejected_or_rerouted
    assert letter.own[:4] == (("ce_id", None), ("traceparent", None), ("endocrine-rekeyed-from", None), ("mine", None))
    assert [name for name, content in letter.own[4:] if content] == [
        "endocrine-error", "endocrine-error-kind", "endocrine-origin", "endocrine-seal",
    ]  # fmt: skip


def test_a_misfit_is_forwarded_with_its_null_headers_and_without_a_strangers_headers_of_ours():
    elsewhere = (ANN + 1) % 4
    (moved,) = processed(OPENED, place=elsewhere).rejected_or_rerouted
    first = f"interactions/{elsewhere}/0".encode()
    assert (moved.topic, moved.partition) == ("interactions", ANN)
    assert moved.own == (
        ("traceparent", None), ("mine", None), ("ce_id", first), ("endocrine-rekeyed-from", first), moved.own[-1],
    )  # fmt: skip
    assert moved.own[-1][0] == "endocrine-seal"


def test_a_dead_letter_by_state_keeps_null_headers_and_so_does_the_head_that_remembers_it():
    done = processed({**OPENED, "id": "i1"}, {**OPENED, "id": "i1", "audit_id": "t2"})
    letter = done.outputs[-1]
    assert dict(letter.own)["endocrine-error-kind"] == b"conflicting_id"
    assert letter.own[:4] == (("ce_id", None), ("traceparent", None), ("endocrine-rekeyed-from", None), ("mine", None))
    assert decode_outbox(compress_outbox(pack_outbox(Outbox(1, (), done.outputs)))).records == done.outputs


def test_a_changelog_record_with_a_null_claim_is_older_than_any():
    assert epoch_of([(CLAIM_HEADER, None)]) == epoch_of([]) == -1
    assert epoch_of([("mine", None), (CLAIM_HEADER, b"7")]) == 7


def test_a_simulated_records_null_headers_are_shown_as_null_on_its_dead_letter():
    world = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=4)
    for topic, nulls in (("interactions", NULLS), ("scheduled-tasks", (("ce_source", None), ("mine", None)))):
        (letter,) = world.apply(topic, b"ann", b"{", nulls)
        shown = orjson.loads(letter.line())
        assert (shown["topic"], shown["headers"]["mine"]) == (f"{topic}.dlq", None)
        assert shown["headers"]["endocrine-error-kind"] == "not_json"
