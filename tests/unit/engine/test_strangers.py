"""What a producer can send, and what becomes of it: nothing stops a batch, and nobody's record vanishes."""

import hashlib

import orjson
import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import EXCERPT_BYTES, Sizes, record_bytes
from endocrine.pipeline.process.policy_files import shipped_policy

SEALS = simulated_seals()
ANN = partition_of("ann", 4)
FAR = (1 << 63) - 1
SIZES = Sizes(value=2000, headers=1000, topic=200_000)
AGENT = {agent.name: agent for agent in AGENTS}
OURS = sorted(name for name, topic in CATALOGUE.items() if topic.ours and topic.owner)


def opened(**more):
    return {
        "kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "c",
        "prompt": "Hello?", "ts": 1000.0, **more,
    }  # fmt: skip


class Reader:
    """One agent's engine over batch after batch on one partition."""

    def __init__(self, agent="modulation", sizes=SIZES):
        self.engine = Engine(AGENT[agent], 4, "1", sizes, SEALS)
        self.states, self.watermarks, self.offset = {}, {}, 0

    def read(self, *given, topic="interactions", timestamp=1_000_000):
        raws = []
        for key, value, headers in given:
            content = value if isinstance(value, bytes | None) else orjson.dumps(value)
            raws.append((topic, Fetched(ANN, self.offset, timestamp, key, content, headers)))
            self.offset += 1
        done = self.engine.process(raws, shipped_policy(), self.states.get, self.watermarks, partition=ANN)
        self.watermarks = done.watermarks
        for key, state in done.states.items():
            self.states.pop(key, None) if state is None else self.states.update({key: state})
        return done


def error_of(out):
    return dict(out.own)["endocrine-error-kind"].decode()


FORGED = [
    ("endocrine-origin", f"modulation/interactions/{ANN}/99999999999999999999999/0".encode()),
    ("endocrine-origin", f"modulation/interactions/{ANN}/{FAR}/0".encode()),
    ("endocrine-rekeyed-from", f"interactions/{ANN}/{FAR}".encode()),
    ("endocrine-rekeyed-from", b"interactions/0/99999999999999999999999"),
    ("endocrine-seal", b"simulated:" + b"0" * 32),
    ("endocrine-seal", None),
    ("endocrine-cut", b"modulation/0/1"),
]


@pytest.mark.parametrize("header", FORGED, ids=lambda header: f"{header[0]}-{len(header[1] or b'')}")
def test_a_forged_header_of_ours_is_ignored_remembered_nowhere_and_not_passed_on(header):
    reader = Reader()
    done = reader.read((b"ann", opened(), (header, ("mine", b"x"))))
    assert (done.tally.prepared, done.watermarks) == (1, {})
    assert all(header not in out.own for out in done.outputs)
    moved = Reader().read((b"?", opened(), (header, ("mine", b"x")))).rejected_or_rerouted[0]
    assert header not in moved.own
    assert ("mine", b"x") in moved.own


def test_a_forged_place_far_ahead_makes_no_later_record_vanish():
    reader = Reader()
    reader.read((b"ann", opened(), (("endocrine-rekeyed-from", f"interactions/{1 - ANN % 2}/{FAR}".encode()),)))
    moved = reader.read((b"wrong", opened(audit_id="t2"), ())).rejected_or_rerouted[0]
    landed = reader.read((moved.key, moved.value, moved.own))
    assert landed.tally.prepared == 1
    again = reader.read((moved.key, moved.value, moved.own))
    assert (again.tally.prepared, again.tally.copies) == (0, 1)


def test_what_was_forged_is_on_record_for_replay_without_keys():
    done = Reader().read((b"ann", opened(), (("endocrine-seal", b"x"),)), (b"ann", opened(audit_id="t2"), ()))
    assert done.forged == [("interactions", 0)]


@pytest.mark.parametrize("topic", OURS)
def test_a_record_without_a_seal_on_a_topic_that_only_we_write_is_a_dead_letter(topic):
    owner = CATALOGUE[topic].owner
    done = Reader(owner).read((b"ann", {"identity": "ann"}, ()), topic=topic)
    (letter,) = done.rejected_or_rerouted
    assert (error_of(letter), letter.topic) == ("unsealed", f"{topic}.dlq")
    assert (done.tally.prepared, done.tally.unsealed) == (0, 1)


def test_a_sealed_record_that_is_appended_again_is_a_copy_and_on_another_partition_a_dead_letter():
    reader, gate = Reader(), Reader("gating")
    (modulation,) = reader.read((b"ann", opened(), ())).outputs
    first = gate.read((modulation.key, modulation.value, modulation.own), topic="modulations")
    second = gate.read((modulation.key, modulation.value, modulation.own), topic="modulations")
    assert (first.tally.prepared, second.tally.prepared, second.tally.copies) == (1, 0, 1)
    raw = Fetched((ANN + 1) % 4, 0, 1_000_000, modulation.key, modulation.value, modulation.own)
    done = gate.engine.process([("modulations", raw)], shipped_policy(), {}.get, {}, partition=raw.partition)
    assert [error_of(letter) for letter in done.rejected_or_rerouted] == ["unsealed"]


def test_an_empty_ce_id_is_none_and_two_of_them_are_two_records():
    done = Reader().read((b"ann", opened(), (("ce_id", b""),)), (b"ann", opened(audit_id="t2"), (("ce_id", b""),)))
    assert (done.tally.prepared, done.tally.rejected) == (2, 0)


@pytest.mark.parametrize("ce_id", [b"x" * 900, b"\xff\xfe"])
def test_an_id_that_is_too_long_or_no_text_still_names_its_copies(ce_id):
    record = (b"ann", opened(), (("ce_id", ce_id),))
    done = Reader().read(record, record)
    assert done.tally.copies == 1
    (out,) = done.outputs
    assert dict(out.own)["ce_id"] == b"modulation/sha256-" + hashlib.sha256(ce_id).hexdigest().encode() + b"/0"


@pytest.mark.parametrize(
    "trace", [b"", b"00-1", b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01", b"x" * 900, b"ff-" + b"1" * 32 + b"-1"]
)
def test_a_traceparent_that_is_not_of_w3c_is_ignored(trace):
    (out,) = Reader().read((b"ann", opened(), (("traceparent", trace),))).outputs
    assert "traceparent" not in dict(out.own)


def test_headers_above_the_bound_are_a_dead_letter_that_keeps_what_fits():
    headers = (("small", b"1"), ("large", b"x" * 1500), ("last", b"2"))
    (letter,) = Reader().read((b"ann", opened(), headers)).rejected_or_rerouted
    own = dict(letter.own)
    assert error_of(letter) == "headers_too_large"
    assert (own["small"], own["last"], "large" in own) == (b"1", b"2", False)
    assert letter.value == orjson.dumps(opened())
    assert b"3 headers" in own["endocrine-cut-short"]


@pytest.mark.parametrize(("key", "value"), [(b"ann", b"{" * 300_000), (b"k" * 300_000, b"{"), (b"k" * 300_000, None)])
def test_what_does_not_fit_into_its_dead_letter_topic_leaves_an_excerpt_with_lengths_and_digest(key, value):
    (letter,) = Reader().read((key, value, ())).rejected_or_rerouted
    own = dict(letter.own)
    assert record_bytes(letter.key, letter.value, letter.own) <= SIZES.room(letter.topic)
    assert letter.value == (value and value[:EXCERPT_BYTES])
    assert letter.key == key[:EXCERPT_BYTES]
    said = own["endocrine-cut-short"].decode()
    assert f"key {len(key)} bytes, value {len(value or b'')} bytes" in said
    assert hashlib.sha256(value or b"").hexdigest() in said
    assert own["endocrine-origin"] == f"modulation/interactions/{ANN}/0/0".encode()


@pytest.mark.parametrize(("ahead", "dead"), [(-1e6, False), (0, False), (300.0, False), (300.5, True), (2.5e11, True)])
def test_a_time_that_lies_too_far_after_the_append_time_is_a_dead_letter(ahead, dead):
    done = Reader().read((b"ann", opened(ts=max(0.0, 1000.0 + ahead)), ()))
    assert [error_of(letter) for letter in done.rejected_or_rerouted] == (["future_time"] if dead else [])
    assert done.tally.prepared == (not dead)


@pytest.mark.parametrize(
    ("identity", "dead"),
    [("project:p05", True), ("Project:p05", True), ("$registry", True), ("projects", False), ("pat$", False)],
)
def test_an_identity_that_is_a_reserved_name_is_a_dead_letter_that_does_not_repeat_it(identity, dead):
    done = Reader().read((identity.encode(), opened(identity=identity), ()))
    letters = [out for out in done.rejected_or_rerouted if out.topic.endswith(".dlq")]
    assert [error_of(letter) for letter in letters] == (["reserved_name"] if dead else [])
    assert not any(identity.encode() in dict(letter.own)["endocrine-error"] for letter in letters)


def test_a_command_may_be_about_a_project():
    command = {"kind": "tick", "identity": "project:p05", "by": "ops", "ts": 1.0}
    done = Reader("bonds").read((b"project:p05", command, ()), topic="commands")
    assert (done.tally.dead, [out.topic for out in done.rejected_or_rerouted if out.topic.endswith(".dlq")]) == (0, [])


def test_where_no_broker_took_a_record_its_time_is_not_bounded():
    assert Reader().read((b"ann", opened(ts=2.5e11), ()), timestamp=-1).tally.prepared == 1


def test_a_structured_cloudevent_is_named_with_what_to_send():
    event = {"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data": opened()}
    (letter,) = Reader().read((b"ann", event, ())).rejected_or_rerouted
    assert error_of(letter) == "structured_cloudevent"
    assert b"binary mode" in dict(letter.own)["endocrine-error"]


CANARY = "zuRka7Private"


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        ("interactions", opened(prompt=[CANARY])),
        ("interactions", opened(kind=CANARY)),
        ("interactions", opened(signals=[{"name": CANARY, "level": CANARY}])),
        ("interactions", CANARY.encode()),
        ("interactions", b'{"prompt": "' + CANARY.encode() + b'", "ts": NaN}'),
        ("signals", {"identity": "ann", "name": CANARY, "level": {CANARY: CANARY}}),
        ("commands", {"kind": CANARY, "identity": "ann"}),
        ("commands", {"kind": "add_note", "text": {CANARY: 1}, "identity": "ann"}),
    ],
)
def test_a_dead_letters_error_names_field_and_kind_and_never_the_content(topic, value):
    owner = CATALOGUE[topic].owner
    (letter,) = Reader(owner).read((b"ann", value, ()), topic=topic).rejected_or_rerouted
    assert CANARY not in dict(letter.own)["endocrine-error"].decode()
    assert dict(letter.own)["endocrine-error"].startswith(topic.encode())
