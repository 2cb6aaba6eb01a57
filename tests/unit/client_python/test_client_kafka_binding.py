"""Digests, partitions and seals of the client without a gateway are the engine's; it imports nothing of the engine."""

import ast
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.pipeline.core import partitioning
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import KeyedSeals, SealKey
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine_client import ToolCall, kafka
from endocrine_client.kafka.binding import digest_of, partition_of
from endocrine_client.kafka.records import record_of
from endocrine_client.kafka.seals import SealKeys, read_keys
from endocrine_client.protocol import request
from properties import examples

RULES = shipped_policy().document.gating
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
NUMBERS = st.one_of(
    st.integers(), st.integers(2**53 - 3, 2**53 + 3), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 1.0, 1e-5, 9.9e-6, 1e16, 1e21, 5e-324, 10**30, 2**64]),
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
ARGUMENTS = st.one_of(st.dictionaries(TEXTS, JSON, max_size=4), JSON.map(json.dumps), st.text(max_size=12))


def digests(arguments):
    """(the client's, the gate's) of the arguments that a model gave, both read from the record's bytes."""
    call = ToolCall.of({"id": "c1", "name": "look", "arguments": arguments})
    asked = request("/v1/tool-calls", {"identity": "ann", "audit_id": "t1", "call_id": "c1", "tool": "look",
                                       "arguments": call.arguments})  # fmt: skip
    record = record_of("POST", asked.path, json.loads(asked.content), asked.key, "test")
    value = decode(CATALOGUE["tool-calls"], record.content, 1 << 20)
    return digest_of(record.value["arguments"]), judged_arguments(value.arguments, RULES)[1]


@settings(max_examples=examples(300), deadline=None)
@given(ARGUMENTS)
@example({"query": "refunds", "n": 1.0})
@example({"\ue000": 1, "\U00010000": 2})
@example({"n": 2**64})
@example('{"a": 1, "a": 2}')
@example("[1]")
def test_what_the_gate_decides_on_is_what_the_client_digests(arguments):
    try:
        ours, theirs = digests(arguments)
    except (Malformed, UnicodeEncodeError):  # no record at all
        return
    # An integer that no double holds has no digest here, whatever the gate makes of it: then nothing runs.
    assert ours in (theirs, None) or theirs is None
    if ours is None and theirs is not None:
        assert any(abs(number) > 2**53 for number in _integers(arguments))


def _integers(value):
    if isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [found for part in value for found in (_integers(part) if isinstance(part, dict | list) else [part])
                if isinstance(found, int)]  # fmt: skip
    return []


def test_usual_arguments_have_a_digest_on_both_sides():
    ours, theirs = digests({"query": "refunds", "limit": 3, "nested": [1.5, None, {"é": True}]})
    assert ours == theirs
    assert ours is not None


@settings(max_examples=examples(300), deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), st.integers(1, 64))
def test_a_record_lies_where_the_engine_looks_for_it(identity, partitions):
    assert partition_of(identity, partitions) == partitioning.partition_of(identity, partitions)


TOPICS = ("tool-decisions", "modulations", "tool-calls.dlq")
CHANGES = ("", "topic", "partition", "key", "value", "ce_id", "id", "key id")
PARTS = st.one_of(st.none(), st.binary(max_size=40))


@settings(max_examples=examples(200), deadline=None)
@given(
    topic=st.sampled_from(TOPICS), partition=st.integers(0, 9), parts=st.tuples(PARTS, PARTS, PARTS, PARTS),
    was_sealed=st.booleans(), change=st.sampled_from(CHANGES),
)  # fmt: skip
@example(topic="tool-calls.dlq", partition=1, parts=(b"k", b"v", b"c", b"o"), was_sealed=True, change="")
def test_a_seal_counts_if_it_is_the_engines_on_this_very_record(topic, partition, parts, was_sealed, change):
    key, value, ce_id, origin = parts
    engine = KeyedSeals([SealKey("k1", b"1" * 32)], "e.")
    headers = {"ce_id": ce_id, "endocrine-origin": origin}
    if was_sealed and topic.endswith(".dlq"):
        headers["endocrine-was-sealed"] = b"true"
    covered = f"{topic}/endocrine-was-sealed" if "endocrine-was-sealed" in headers else topic
    headers["endocrine-seal"] = engine.seal(covered, partition, key, value, ce_id, origin)
    ours = SealKeys({"other": b"2" * 32} if change == "key id" else {"k1": b"1" * 32}, "e.")
    if change == "ce_id":
        headers["ce_id"] = (ce_id or b"") + b"x"
    if change == "id":
        headers["endocrine-seal"] = b"k1:" + b"0" * 32
    raw = Fetched(
        partition + (change == "partition"), 0, 0,
        (key or b"") + b"x" if change == "key" else key,
        (value or b"") + b"x" if change == "value" else value,
    )  # fmt: skip
    asked = "signals" if change == "topic" else topic
    assert ours.valid(asked, raw, headers) is (change == "")
    assert engine.valid(asked, raw, headers) is (ours.valid(asked, raw, headers) or change == "key id")


def test_seal_keys_are_read_as_the_engine_reads_them_and_never_shown(tmp_path):
    file = tmp_path / "seal.keys"
    file.write_text(f"# ours\nk1:{'ab' * 32}\n\nk2:{'cd' * 32} # older\n")
    keys = read_keys(file, "e.")
    assert "ab" not in repr(keys).replace("SealKeys", "")
    record = Fetched(1, 0, 0, b"ann", b"{}")
    seal = KeyedSeals([SealKey("k2", bytes.fromhex("cd" * 32))], "e.").seal("modulations", 1, b"ann", b"{}", None)
    assert keys.valid("modulations", record, {"endocrine-seal": seal})
    for wrong in ("k1:abc", ""):
        file.write_text(wrong)
        with pytest.raises(ValueError, match="seal key") as raised:
            read_keys(file, "e.")
        assert "abc" not in str(raised.value)


def test_the_client_imports_nothing_of_the_engine_and_kafka_only_where_it_is_used():
    folder = Path(kafka.__file__).parent.parent
    aiokafka = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else (
                [one.name for one in node.names] if isinstance(node, ast.Import) else [])  # fmt: skip
            assert "endocrine" not in {str(name).partition(".")[0] for name in names}, file
            if {str(name).partition(".")[0] for name in names} & {"aiokafka", "rfc8785"}:
                aiokafka.add(file.relative_to(folder).as_posix())
    assert aiokafka == {"kafka/binding.py", "kafka/broker.py"}
