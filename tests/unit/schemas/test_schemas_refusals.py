"""What is taken, what is refused, and that the refusal names the field."""

import copy
import math

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode

LIMIT = 1 << 20
M_OF_ANOTHER_KIND = "m-" + 24 * "a"
BAD = [
    # kind of record, path, what is put there, the path that the error names
    ("opened", "prompt", "", "prompt"),
    ("opened", "kind", "reopened", "kind"),
    ("opened", "turn", -1, "turn"),
    ("opened", "turn", True, "turn"),
    ("opened", "turn", 1.0, "turn"),
    ("opened", "turn", "1", "turn"),
    ("opened", "respond", "yes", "respond"),
    ("opened", "respond", 1, "respond"),
    ("opened", "identity", "", "identity"),
    ("opened", "identity", "x" * 257, "identity"),
    ("opened", "audit_id", 7, "audit_id"),
    ("opened", "signals.0.name", "joy", "signals.0.name"),
    ("opened", "signals.0.name", "stabilize", "signals.0.name"),
    ("opened", "signals.0.level", "0.5", "signals.0.level"),
    ("opened", "signals.0.extra", 1, "signals.0.extra"),
    ("opened", "ts", -1.0, "ts"),
    ("opened", "ts", 253_402_300_800, "ts"),
    ("opened", "ts", "2024-01-01", "ts"),
    ("memory create", "content", "  ", "content"),
    ("memory create", "content", "x" * 2001, "content"),
    ("memory create", "type", "fact", "type"),
    ("memory create", "slot", "Pad", "slot"),
    ("memory create", "slot", "a/b", "slot"),
    ("memory create", "status", "superseded", "status"),
    ("memory promote", "memory_id", "m-1", "memory_id"),
    ("memory update", "confidence", 1.01, "confidence"),
    ("memory extract", "text", "", "text"),
    ("conflict resolve", "action", "vanished", "action"),
    ("conflict resolve", "conflict_id", M_OF_ANOTHER_KIND, "conflict_id"),
    ("fact", "subject", "", "subject"),
    ("fact", "slot", "pad material", "slot"),
    ("fact", "value", "", "value"),
    ("closed", "usage.input_tokens", -1, "usage.input_tokens"),
    ("closed", "usage.input_tokens", 1.5, "usage.input_tokens"),
    ("closed", "response", None, "response"),
    ("signal", "name", "stabilize", "name"),
    ("signal", "level", True, "level"),
    ("signal", "level", "0.5", "level"),
    ("signal", "level", None, "level"),
    ("signal", "ttl_ms", -1, "ttl_ms"),
    ("signal", "ttl_ms", 0.5, "ttl_ms"),
    ("signal", "source", "", "source"),
    ("observation", "confidence", 1.01, "confidence"),
    ("observation", "confidence", -0.01, "confidence"),
    ("observation", "v", 2, "v"),
    ("observation", "value", None, "value"),
    ("observation", "window.end_ts", 0.5, "window"),
    ("observation", "window.start_ts", "1", "window.start_ts"),
    ("observation", "id", "", "id"),
    ("tool call", "arguments", 7, "arguments"),
    ("tool call", "arguments", ["x"], "arguments"),
    ("tool call", "step", -1, "step"),
    ("tool result", "status", "done", "status"),
    ("tool result", "duration_ms", -0.1, "duration_ms"),
    ("tool result", "args_summary", "x" * 181, "args_summary"),
    ("card", "rating", 0, "rating"),
    ("card", "rating", 6, "rating"),
    ("card", "rating", 7, "rating"),
    ("card", "rating", "5", "rating"),
    ("card", "rating", 4.0, "rating"),
    ("card", "rating", True, "rating"),
    ("card", "symbols.0", "\U0001f44d", "symbols.0"),
    ("card", "symbols", "affirm", "symbols"),
    ("card", "note", "x" * 1001, "note"),
    ("card", "identity", "x" * 257, "identity"),
    ("card", "target_action_id", "x" * 257, "target_action_id"),
    ("card", "target_action_id", "", "target_action_id"),
    ("card", "context_hash", "x" * 129, "context_hash"),
    ("detection", "ulm", [0.5], "ulm"),
    ("detection", "ulm.node", "high", "ulm.node"),
    ("detection", "ulm.node", 1.0001, "ulm.node"),
    ("detection", "ulm.node", -0.1, "ulm.node"),
    ("detection", "confidence", 2, "confidence"),
    ("detection", "turn_count", -1, "turn_count"),
    ("adopt bond", "entry", [], "entry"),
    ("adopt bond", "events.0.event_type", "birthday", "events.0.event_type"),
    ("adopt bond", "part", 0, "part"),
    ("adopt bond", "parts", 101, "parts"),
    ("import event", "imported.outcome", "lost", "imported.outcome"),
    ("state set", "category", "Decision", "category"),
    ("state set", "key", "Pad", "key"),
    ("state set", "key", "a/b", "key"),
    ("state set", "key", "a" * 65, "key"),
    ("state set", "value", "", "value"),
    ("state set", "value", "x" * 4001, "value"),
    ("state set", "confidence", 1.5, "confidence"),
    ("state invalidate", "key", ".a", "key"),
    ("trusted state", "status", "invalid", "status"),
    ("trusted state", "version", 0, "version"),
    ("state event", "kind", "lost", "kind"),
    ("set cap", "cap", -1, "cap"),
    ("set cap", "cap", True, "cap"),
    ("set cap", "kind", "set_limit", "kind"),
    ("add note", "text", "", "text"),
    ("approve", "call_id", None, "call_id"),
    ("clear risk", "audit_id", "", "audit_id"),
    ("approve turn", "audit_id", None, "audit_id"),
    ("deny turn", "audit_id", 7, "audit_id"),
    ("release lock", "by", "", "by"),
    ("release lock", "cap", 5, "cap"),
    ("modulation", "parameters.temperature", 1.01, "parameters.temperature"),
    ("modulation", "parameters.top_p", 0.09, "parameters.top_p"),
    ("modulation", "parameters.max_output_tokens", 255, "parameters.max_output_tokens"),
    ("modulation", "parameters.max_output_tokens", 900.0, "parameters.max_output_tokens"),
    ("modulation", "parameters.retrieval_k", 11, "parameters.retrieval_k"),
    ("modulation", "parameters.planner_beam", 0, "parameters.planner_beam"),
    ("modulation", "parameters.safety_mode", "wild", "parameters.safety_mode"),
    ("modulation", "parameters.tool_allowlist.0", "Shell", "parameters.tool_allowlist.0"),
    ("modulation", "admitted", 1, "admitted"),
    ("modulation", "refusal", "tired", "refusal"),
    ("modulation", "review", "maybe", "review"),
    ("modulation", "functions.0.name", None, "functions.0.name"),
    ("modulation", "policy", "A" * 64, "policy"),
    ("decision", "reason", "because", "reason"),
    ("decision", "decision", "maybe", "decision"),
    ("incident", "kind", "misc", "kind"),
    ("incident", "params_snapshot.mode", "off", "params_snapshot.mode"),
    ("style table", "temperature_delta", 0.21, "temperature_delta"),
    ("style table", "memory_write_boost", -0.01, "memory_write_boost"),
    ("style table", "intents.affirm", -1, "intents.affirm"),
    ("style table", "locked", None, "locked"),
    ("attribution state", "state", "sure", "state"),
    ("state change", "new_state", "gone", "new_state"),
    ("suspicion", "primitives", ["a"], "primitives"),
    ("bond", "notes", ["n"] * 21, "notes"),
    ("bond", "peak_nodes.n", "0.5", "peak_nodes.n"),
    ("bond event", "event_type", "birthday", "event_type"),
    ("policy", "digest", "a" * 63, "digest"),
    ("opened", "images.0.start", 3, "images"),
    ("opened", "images.0.size", 69, "images"),
    ("opened", "images.0.message", 4, "images"),
    ("opened", "images.0.message", 5, "images"),
    ("opened", "images.0.media_type", "image/svg+xml", "images.0.media_type"),
    ("opened", "images.0.media_type", None, "images"),
    ("opened", "images.0.source", "url", "images"),
    ("opened", "images.0.offsets", [], "images.0.offsets"),
    ("opened", "messages.3.role", "system", "images"),
    ("image", "pieces", 0, "pieces"),
    ("image", "data", "", "data"),
    ("model request", "deadline_ms", -1, "deadline_ms"),
    ("model reply", "status", "fine", "status"),
    ("model reply", "latency_ms", "1", "latency_ms"),
    ("task", "when", 5, "when"),
    ("analytics", "window_s", 0, "window_s"),
    ("analytics", "modes.strict", 0.5, "modes.strict"),
    ("journal entry", "batch", 0, "batch"),
    ("journal entry", "runs.0", ["interactions", 0], "runs.0"),
    ("audit", "hash", "", "hash"),
    ("audit", "status", "open", "status"),
    ("audit", "supplement", -1, "supplement"),
    ("audit", "signals.0.fate", "lost", "signals.0.fate"),
    ("audit", "blocked.0.reason", None, "blocked.0.reason"),
    ("audit", "opened.ts", "now", "opened.ts"),
    ("tick", "ts", None, "ts"),
    ("register name", "identity", "ann", "identity"),
    ("register name", "scope", "team", "scope"),
    ("register name", "name", "", "name"),
    ("register name", "registered_id", None, "registered_id"),
    ("register name", "roots.0.source", "", "roots.0.source"),
    ("register name", "effective_from", -1.0, "effective_from"),
    ("release name", "registered_id", "x", "registered_id"),
    ("registered name", "kind", "nickname", "kind"),
    ("registry event", "reason", "no", "reason"),
    ("rekey", "outcome", "done", "outcome"),
    ("adopt", "state", "text", "state"),
    ("adopt", "agent", "Bonds", "agent"),
    ("adopt", "digest_old", "0", "digest_old"),
    ("retire", "key", "", "key"),
    ("opened", "turn", 2**53, "turn"),
    ("checkpoint", "key_id", "0123", "key_id"),
    ("checkpoint", "audits.0.offset", -1, "audits.0.offset"),
    ("checkpoint", "signature", "none", "signature"),
    ("dead letter action", "action", "burn", "action"),
]


def put(value, path, what):
    """A copy with `what` at a dotted path."""
    changed = copy.deepcopy(value)
    *parents, last = path.split(".")
    place = changed
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    place[int(last) if isinstance(place, list) else last] = what
    return changed


def refusal(topic, value):
    """The paths that the refusal names, without a union's tag."""
    with pytest.raises(ValidationError) as refused:
        CATALOGUE[topic].adapter.validate_python(value)
    return {".".join(map(str, error["loc"])) for error in refused.value.errors()}


def named(paths, field):
    """Whether one path is the field, or inside it, or beside a union's tag."""
    return any(f".{path}.".find(f".{field}.") >= 0 for path in paths)


def test_a_good_record_is_taken_and_written_as_it_came(good):
    topic, value = good
    taken = CATALOGUE[topic].adapter.validate_python(value)
    dumped = taken.model_dump(by_alias=True, exclude_unset=True) if isinstance(taken, BaseModel) else taken
    assert dumped == value
    assert decode(CATALOGUE[topic], orjson.dumps(value), LIMIT) == taken


def test_every_topic_has_a_good_record(records):
    assert {topic for topic, _ in records.values()} == set(CATALOGUE)


@pytest.mark.parametrize(("kind", "path", "what", "field"), BAD, ids=lambda item: repr(item)[:40])
def test_a_bad_value_is_refused_and_the_field_named(records, kind, path, what, field):
    topic, value = records[kind]
    paths = refusal(topic, put(value, path, what))
    assert named(paths, field) or (field == "kind" and paths == {""}), paths


def test_an_unknown_field_is_refused_and_named(good):
    topic, value = good
    assert named(refusal(topic, value | {"surprise": 1}), "surprise")


def test_each_required_field_is_missed_by_name(good):
    topic, value = good
    adapter = CATALOGUE[topic].adapter
    required = 0
    for field in value:
        less = {name: held for name, held in value.items() if name != field}
        try:
            adapter.validate_python(less)
        except ValidationError:
            required += 1
            paths = refusal(topic, less)
            placed = field == "messages" and paths == {"opened.images"}  # images belong to messages
            assert named(paths, field) or placed or (field == "kind" and paths == {""}), paths
    assert required >= 1


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf], ids=str)
def test_no_number_may_be_nan_or_infinite(good, number):
    topic, value = good
    for path in floats(value):
        paths = refusal(topic, put(value, path, number))
        assert named(paths, path), (path, paths)


def floats(value, before=""):
    """Paths of the floats in a record that its model knows as floats."""
    free = {"current_value", "output", "lineage", "chunks_used", "data", "value"}
    for name, held in value.items() if isinstance(value, dict) else enumerate(value):
        if name in free:
            continue
        if isinstance(held, float):
            yield f"{before}{name}"
        elif isinstance(held, dict | list):
            yield from floats(held, f"{before}{name}.")


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity"])
def test_nan_in_the_bytes_is_refused_naming_the_field(literal):
    value = b'{"identity":"ann","name":"stress","level":%b,"ttl_ms":0,"source":"s","ts":1.0}' % literal
    with pytest.raises(Malformed, match=r"signals: level: ") as refused:
        decode(CATALOGUE["signals"], value, LIMIT)
    assert refused.value.kind == "invalid"


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'"x"', b"null", b"7", b"\xff\xfe", b"\x00\x00\x00\x00\x01{}"])
@pytest.mark.parametrize("topic", CATALOGUE)
def test_what_is_no_json_object_is_refused_on_every_topic(topic, value):
    with pytest.raises(Malformed, match=topic):
        decode(CATALOGUE[topic], value, LIMIT)


def test_a_finite_level_outside_0_to_1_is_taken(records):
    topic, value = records["signal"]
    for level in (-3, 1.0001, 1e300):
        assert CATALOGUE[topic].adapter.validate_python(value | {"level": level}).level == level


def test_one_field_may_be_wrong_in_a_record_and_all_are_told(records):
    topic, value = records["card"]
    with pytest.raises(Malformed, match=r"(?s)rating.*a number.*symbols\.0"):
        decode(CATALOGUE[topic], orjson.dumps(value | {"rating": 7, "symbols": ["\U0001f44d"]}), LIMIT)


def test_an_older_or_partial_bond_entry_is_filled_with_the_defaults(records):
    _, full = records["bond"]
    read = CATALOGUE["bonds"].adapter.validate_python({"user_id": "ann"})
    assert read.model_dump() == full | {"peak_nodes": {}, "notes": []}
