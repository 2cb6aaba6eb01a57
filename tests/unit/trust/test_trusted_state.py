"""Trusted state: one value in force per subject, category and key, written by operators' commands alone."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.contract import Trigger
from endocrine.agents.trust.agent import AGENT
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples

POLICY = shipped_policy()
SUBJECT = "project:p05"


class Table:
    """Every entry by state key, as the engine would hold them; outputs are validated, states stored and read back."""

    def __init__(self):
        self.states, self.fed = {}, 0

    def command(self, kind, category="status", key="phase", *, subject=SUBJECT, by="op", ts=1000.0, **more):
        """The event, and the entry that was written or None."""
        self.fed += 1
        value = {"kind": kind, "identity": subject, "by": by, "ts": ts, **more}
        if kind.startswith("state_"):
            value |= {"category": category, "key": key}
        model = CATALOGUE["commands"].adapter.validate_json(orjson.dumps(value), strict=True)
        trigger = Trigger("commands", f"c{self.fed}", subject, model)
        at = AGENT.key(trigger)
        before = self.states.get(at)
        kept = orjson.dumps(before)
        after, outputs = AGENT.process(before, trigger, POLICY)
        assert orjson.dumps(before) == kept, "process changed the state it was given"
        if after is not None:
            self.states[at] = orjson.loads(orjson.dumps(after))
        for output in outputs:
            stored = CATALOGUE[output.topic].adapter.validate_json(orjson.dumps(output.value), strict=True)
            assert list(output.value) == list(type(stored).model_fields)
            assert output.identity == output.value["subject"] == subject
        if not outputs:
            return None, None
        entry = outputs[1].value if len(outputs) == 2 else None
        if entry is not None:
            assert CATALOGUE["trusted-states"].key_of(subject, entry) == at
            assert entry == after
        return outputs[0].value, entry

    def set(self, value="build", **more):
        return self.command("state_set", value=value, **more)

    def invalidate(self, **more):
        return self.command("state_invalidate", **more)


@pytest.fixture
def table():
    return Table()


def test_a_value_is_set_with_its_event_and_its_entry(table):
    event, entry = table.set("build", source="board", confidence=0.9)
    assert (event["kind"], event["old"], event["new"], event["version"]) == ("set", None, "build", 1)
    assert (entry["status"], entry["version"], entry["created_ts"], entry["source"]) == ("active", 1, 1000.0, "board")
    assert event["entry_id"] == entry["entry_id"]


def test_another_value_is_a_new_version_of_the_same_entry(table):
    _, first = table.set("build")
    event, second = table.set("test", ts=2000.0, by="eve")
    assert (event["kind"], event["old"], event["new"]) == ("updated", "build", "test")
    assert (second["entry_id"], second["created_ts"]) == (first["entry_id"], 1000.0)
    assert (second["version"], second["by"], second["ts"]) == (2, "eve", 2000.0)


@pytest.mark.parametrize("change", [{"source": "mail"}, {"confidence": 0.5}])
def test_another_source_or_confidence_is_a_new_version_too(table, change):
    table.set()
    event, entry = table.set(**change)
    assert (event["kind"], entry["version"]) == ("updated", 2)


def test_the_same_again_is_unchanged_and_no_version(table):
    table.set()
    event, entry = table.set(by="eve", ts=2000.0)
    assert (event["kind"], event["version"], entry) == ("unchanged", 1, None)


def test_what_is_invalidated_stays_superseded_and_can_be_set_again(table):
    _, first = table.set()
    event, entry = table.invalidate(ts=2000.0, reason="over")
    assert (event["kind"], event["old"], event["new"], event["reason"]) == ("invalidated", "build", None, "over")
    assert (entry["status"], entry["value"], entry["version"]) == ("superseded", "build", 2)
    event, entry = table.set(ts=3000.0)
    assert (event["kind"], event["old"], event["version"]) == ("set", None, 3)
    assert (entry["status"], entry["entry_id"], entry["created_ts"]) == ("active", first["entry_id"], 1000.0)


def test_where_nothing_is_active_there_is_nothing_to_invalidate(table):
    event, entry = table.invalidate()
    assert (event["kind"], event["entry_id"], entry, table.states) == ("absent", None, None, {})
    table.set()
    table.invalidate()
    event, entry = table.invalidate()
    assert (event["kind"], event["version"], entry) == ("absent", 2, None)


def test_a_category_that_the_policy_does_not_list_is_refused(table):
    event, entry = table.set(category="mood")
    assert (event["kind"], event["reason"], entry, table.states) == ("refused", "unknown_category", None, {})


def test_subjects_categories_and_keys_have_entries_of_their_own(table):
    for more in ({}, {"subject": "ann"}, {"category": "decision"}, {"key": "other"}):
        assert table.set(**more)[0]["kind"] == "set"
    assert len(table.states) == len({state["entry_id"] for state in table.states.values()}) == 4


@pytest.mark.parametrize(
    ("kind", "more"),
    [("tick", {}), ("set_cap", {"cap": 3}), ("add_note", {"text": "n"}), ("approve", {"call_id": "c"})],
)
def test_commands_about_other_things_change_nothing_and_cost_no_state(table, kind, more):
    assert table.command(kind, **more) == (None, None)
    assert table.states == {}


def test_a_retry_of_a_command_is_a_copy():
    engine = Engine(AGENT, 4, "1", Sizes(value=10_000, headers=1000, topic=200_000), simulated_seals())
    value = {"kind": "state_set", "identity": SUBJECT, "category": "status", "key": "phase", "value": "build",
             "by": "op", "ts": 1.0, "id": "c1"}  # fmt: skip
    place = partition_of(SUBJECT, 4)
    raws = [("commands", Fetched(place, n, 2000, SUBJECT.encode(), orjson.dumps(value))) for n in range(2)]
    done = engine.process(raws, POLICY, {}.get, {}, partition=place)
    assert (done.tally.prepared, done.tally.copies) == (1, 1)
    assert [(out.topic, out.key) for out in done.outputs] == [
        ("state-events", b"project:p05"),
        ("trusted-states", b"project:p05/status/phase"),
    ]


COMMANDS = st.lists(
    st.tuples(st.sampled_from(["set", "invalidate"]), st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"])),
    max_size=20,
)


@given(COMMANDS)
@settings(max_examples=examples(100), deadline=None)
def test_events_tell_exactly_what_is_in_force_and_versions_rise_by_one(commands):
    table, force, versions = Table(), {}, {}
    for kind, key, value in commands:
        event, entry = table.set(value, key=key) if kind == "set" else table.invalidate(key=key)
        assert event["old"] == force.get(key)
        force[key] = value if kind == "set" else None
        assert event["new"] == force[key]
        assert (entry is None) == (event["old"] == event["new"])
        if entry is not None:
            assert entry["version"] == versions.get(key, 0) + 1
            versions[key] = entry["version"]
        state = table.states.get(f"{SUBJECT}/status/{key}")
        assert (state is not None and state["status"] == "active") == (force[key] is not None)
