"""What is said, in which order, and when a change is dated (rules 5, records)."""

from types import SimpleNamespace

from endocrine.agents.attribution.agent import AGENT


def test_the_state_is_said_first_and_then_the_change(policy, observe):
    state = None
    for n in range(3):
        state, outputs = AGENT.process(state, observe("a", 10.0 + n, f"o{n}"), policy)
    assert [output.topic for output in outputs] == ["attribution-states", "attribution-changes"]
    assert list(outputs[0].value.items()) == [
        ("identity", "ann"),
        ("primitive", "motor.keystroke_cadence"),
        ("state", "stable"),
        ("current_value", "a"),
        ("confidence", 1.0),
        ("observation_count", 3),
        ("last_change_ts", 12.0),
        ("last_observation_ts", 12.0),
    ]
    assert list(outputs[1].value.items()) == [
        ("kind", "state_changed"),
        ("identity", "ann"),
        ("primitive", "motor.keystroke_cadence"),
        ("old_state", "unknown"),
        ("new_state", "stable"),
        ("current_value", "a"),
        ("confidence", 1.0),
        ("observation_count", 3),
        ("ts", 12.0),
    ]


def test_the_time_of_change_is_the_first_observation_and_moves_with_the_state_only(policy, observe, fold):
    run = fold(policy, [observe(value, float(n), f"o{n}") for n, value in enumerate("aaaaabababaaaaaaaaaa", start=1)])
    changed = {}
    for said in run.states:
        changed.setdefault(said["last_change_ts"], set()).add(said["state"])
    assert run.states[0]["last_change_ts"] == run.states[1]["last_change_ts"] == 1.0
    assert all(len(states) == 1 for states in changed.values())
    assert sorted(changed) == [1.0, *(change["ts"] for change in run.changes)]


def test_the_first_hash_is_a_change_from_unknown_dated_by_itself(policy, observe, fold):
    run = fold(policy, [observe("h1", 5.0, "o1", "hash"), observe("h1", 9.0, "o2", "hash")])
    assert run.path() == [("unknown", "stable")]
    assert [said["last_change_ts"] for said in run.states] == [5.0, 5.0]


def test_an_earlier_first_observation_that_arrives_late_is_the_first(policy, observe, fold):
    for kind in ("categorical", "hash", "numeric"):
        value = 2.0 if kind == "numeric" else "a"
        run = fold(policy, [observe(value, 9.0, "o2", kind), observe(value, 5.0, "o1", kind)])
        assert (run.last["last_change_ts"], run.last["last_observation_ts"]) == (5.0, 9.0)


def test_a_late_hash_that_changes_the_state_is_dated_by_the_newest(policy, observe, fold):
    run = fold(policy, [observe("h1", 10.0, "o1", "hash"), observe("h2", 5.0, "o2", "hash")])
    assert run.path() == [("unknown", "stable"), ("stable", "drifting")]
    assert (run.last["last_change_ts"], run.last["current_value"]) == (10.0, "h1")


def test_a_late_observation_that_changes_the_state_is_dated_by_the_newest(policy, observe, fold):
    labels = [observe("a", float(n), f"o{n}") for n in range(10, 25)]
    late = [observe("b", 21.5, "late-1"), observe("b", 22.5, "late-2")]
    run = fold(policy, [*labels, *late])
    assert run.path()[-1] == ("stable", "multi_actor")
    assert run.last["last_change_ts"] == run.changes[-1]["ts"] == run.last["last_observation_ts"] == 24.0
    assert run.last["observation_count"] == 17


def test_an_observation_older_than_the_memory_is_counted_and_changes_nothing_else(policy, observe, fold):
    run = fold(policy, [observe("a", float(n), f"o{n}") for n in range(10, 25)])
    again = fold(policy, [observe("z", 1.0, "old")], run.state)
    assert again.last == {**run.last, "observation_count": 16}
    assert again.changes == []


def test_each_primitive_of_each_identity_has_a_state_of_its_own(observe):
    trigger = observe("a", 1.0, "o1", "x.y")
    assert AGENT.key(trigger) == "ann/x.y"
    assert AGENT.key(trigger._replace(identity="bob")) == "bob/x.y"


def test_a_policy_that_reads_a_primitive_as_another_kind_starts_its_series_anew(policy, observe, fold):
    run = fold(policy, [observe(3, float(n), f"o{n}", "x.y") for n in range(4)])
    primitives = {**policy.document.primitives, "x.y": "numeric"}
    other = SimpleNamespace(document=SimpleNamespace(attribution=policy.document.attribution, primitives=primitives))
    again = fold(other, [observe(3, 9.0, "o9", "x.y")], run.state)
    assert again.path() == [("stable", "unknown")]
    assert (again.last["current_value"], again.last["observation_count"]) == (3.0, 5)
