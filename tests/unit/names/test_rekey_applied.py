"""A re-key carried out on agents: nothing is lost, a conflict changes nothing, the next run finishes any other."""

import re
from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents._shared.moving import opened, state_digest
from endocrine.agents.registry import AGENTS, COMMANDED
from endocrine.agents.rekeying import MOVERS
from endocrine.pipeline.core.producer_dedup import unpack
from endocrine.pipeline.data.rekey_apply import adoptions, retirements
from endocrine.pipeline.data.rekey_plan import plan_of, subject_of
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.verify import Verifier
from properties import examples
from recorded import PARTITIONS, SIZES, Recording, randomly

POLICY = shipped_policy()
OLD, ID = "a.s.", "Ann"
OPENED = {"kind": "opened", "session_id": "s", "client": "c", "prompt": "What now?", "project": None}
PROJECTS = ("project:p05", "project:p05-x")


class World:
    """All agents over recorded topics, as workers would have them."""

    def __init__(self, table, seed=0):
        self.table, self.topics, self.how_many, self.fed = table, Recording(), randomly(seed), 0

    def feed(self, *values, topic="commands"):
        """Records in their order, each with an id and a time of its own."""
        lines = []
        for value in values:
            self.fed += 1
            lines.append({"topic": topic, "value": {"id": f"in-{self.fed}", "ts": float(self.fed), **value}})
        self.topics.feed(lines)
        self.topics.run(POLICY, self.how_many)

    def command(self, identity, kind, **value):
        self.feed({"identity": identity, "kind": kind, "by": "op", **value})

    def states(self):
        """By agent and key, as `live_states` reads them."""
        recalls = {agent.name: "commands" in agent.sources for agent in AGENTS}
        found = {agent.name: {} for agent in AGENTS}
        for processor, states in self.topics.states.items():
            agent = processor.rpartition("/")[0]
            for key, stored in states.items():
                if not key.startswith("\0") and agent not in ("analytics", "registry") and key:
                    state = unpack(stored)[0] if recalls[agent] else orjson.loads(stored)
                    if state is not None:
                        found[agent][key] = state
        return found

    def own(self, agent, key):
        return opened(self.states()[agent].get(key))[0]

    def plan(self, alias=OLD, scope="identity"):
        kept = {"notes_kept": POLICY.document.bonds.notes_kept, "cards_kept": POLICY.document.feedback.cards_kept}
        return plan_of(self.table, scope, alias, self.states(), max_record_bytes=10**6, **kept)

    def send(self, commands):
        """What each answered, in order; commands of one agent at once, as the door sends them."""
        commands, before = list(commands), len(self.answers())
        for agent in dict.fromkeys(one["agent"] for one in commands):
            self.feed(*(one for one in commands if one["agent"] == agent), topic=COMMANDED.get(agent, "commands"))
        return self.answers()[before:]

    def answers(self):
        found = [raw for n in range(PARTITIONS) for raw in self.topics.logs["rekeys", n]]
        return [orjson.loads(raw.value) for raw in sorted(found, key=lambda raw: raw.timestamp)]

    def apply(self, plan, steps=3):
        told = {"by": "op", "ts": 1000.0}
        answers = self.send(adoptions(plan, check=True, **told))
        if {one["outcome"] for one in answers} <= {"possible", "unchanged"} and steps > 1:
            answers += self.send(adoptions(plan, check=False, **told))
            if steps > 2:
                answers += self.send(retirements(plan, **told))
        return Counter(one["outcome"] for one in answers)

    def latest(self, topic):
        """The records of a compacted topic as they are now, by key."""
        found = {}
        for n in range(PARTITIONS):
            for raw in self.topics.logs[topic, n]:
                found[raw.key.decode()] = None if raw.value is None else orjson.loads(raw.value)
        return {key: value for key, value in found.items() if value is not None}

    def verified(self):
        return Verifier(self.topics.logs, lambda digest: POLICY, partitions=PARTITIONS, sizes=SIZES).run(AGENTS)


@pytest.fixture
def world(new_table):
    return World(new_table())


def card(identity, target, rating=5):
    return {"identity": identity, "target_action_id": target, "rating": rating}


def written(world):
    """Something of every agent that moves, under the old name and under the id."""
    for who in (OLD, ID):
        world.command(who, "add_note", text=f"of {who}")
        world.feed(card(who, f"t-{who}"), topic="feedback")
        world.command(who, "memory_create", type="preference", content="likes tea with milk")
        world.command(who, "memory_create", type="preference", content=f"is called {who}")
        world.command(who, "state_set", category="fact", key="town", value="Bern")
    world.command(OLD, "set_cap", cap=4)
    world.command(OLD, "state_set", category="fact", key="street", value="Gasse")
    world.command(OLD, "memory_create", type="knowledge", content="oak", slot="pad")
    world.command(ID, "memory_create", type="knowledge", content="steel", slot="pad")


def test_what_lies_under_the_alias_is_the_ids_afterwards(world):
    written(world)
    plan = world.plan()
    assert not plan.refused
    outcomes = world.apply(plan)
    assert set(outcomes) == {"possible", "adopted", "retired"}
    assert outcomes["possible"] == outcomes["adopted"] == len(plan.transfers)
    assert outcomes["retired"] == len(plan.retirements)
    assert world.plan().is_empty
    entry = world.latest("bonds")[ID]
    assert [note[17:] for note in entry["notes"]] == [f"of {OLD}", f"of {ID}"]
    assert (entry["daily_msg_cap"], set(world.latest("bonds"))) == (4, {ID})
    assert (world.latest("style-tables")[ID]["cards"], set(world.latest("style-tables"))) == (2, {ID})
    assert set(world.latest("trusted-states")) == {f"{ID}/fact/town", f"{ID}/fact/street"}
    assert {entry["subject"] for entry in world.latest("trusted-states").values()} == {ID}
    memories = world.latest("memories").values()
    assert {one["subject"] for one in memories} == {ID}
    assert Counter(one["status"] for one in memories) == {"active": 5, "superseded": 1}
    [gone] = [one for one in memories if one["status"] == "superseded"]
    assert [one["content"] for one in memories if one["memory_id"] == gone["superseded_by"]] == ["likes tea with milk"]
    [conflict] = world.latest("conflicts").values()
    assert ([one["value"] for one in conflict["members"]], conflict["status"]) == (["oak", "steel"], "open")
    marked = [one["open_conflict"] for one in memories if one["slot"]]
    assert marked == [conflict["conflict_id"]] * 2


def observed(who, primitive, value, ts):
    window = {"start_ts": ts - 1, "end_ts": ts}
    return {"identity_ref": who, "primitive": primitive, "value": value, "confidence": 0.9, "window": window,
            "source": "s", "evidence_ref": f"{who}/{ts}", "v": 1, "ts": ts}  # fmt: skip


@pytest.mark.parametrize(
    ("primitive", "of"),
    [
        ("motor.input_modality", lambda n: ("typed", "pasted")[n % 2]),
        ("motor.paste_burst_rate", lambda n: 1.0 + n % 3),
        ("toolchain.ssh.hassh_client", lambda n: f"{n % 4:032x}"),
    ],
)
def test_a_series_that_was_moved_is_the_one_that_one_name_would_have_had(world, new_table, primitive, of):
    series = [(f"{n}", of(n), 100.0 + n) for n in range(9)]
    for n, (_, value, ts) in enumerate(series):
        world.feed(observed((OLD, ID)[n % 3 == 0], primitive, value, ts), topic="observations")
    plan = world.plan()
    assert plan.agents["attribution"] == "merged"
    assert set(world.apply(plan)) == {"possible", "adopted", "retired"}
    assert world.plan().is_empty
    alone = World(new_table())
    for _, value, ts in series:
        alone.feed(observed(ID, primitive, value, ts), topic="observations")
    [(key, moved)], [(_, whole)] = (
        world.latest("attribution-states").items(),
        alone.latest("attribution-states").items(),
    )
    assert key == f"{ID}/{primitive}"
    if primitive == HASSH[0]:  # when it became so is not known of hashes: what was between is not kept
        moved, whole = ({**one, "last_change_ts": None} for one in (moved, whole))
    assert moved == whole
    report = world.verified()
    assert report.proved, report.findings


def test_an_observation_after_the_move_goes_on_with_the_series_of_both(world):
    for n in range(3):
        world.feed(observed(OLD, "motor.input_modality", "typed", 100.0 + n), topic="observations")
    world.apply(world.plan())
    world.feed(observed(ID, "motor.input_modality", "typed", 110.0), topic="observations")
    [state] = world.latest("attribution-states").values()
    assert (state["state"], state["observation_count"], state["last_change_ts"]) == ("stable", 4, 102.0)


def test_a_suspicion_follows_the_series_that_were_moved(world):
    primitives = ("motor.input_modality", "motor.keystroke_cadence")
    for n in range(8):
        for primitive in primitives:
            at = 100.0 + n + 0.1 * primitives.index(primitive)
            world.feed(observed(OLD, primitive, "ab"[n % 2], at), topic="observations")
    assert world.own("suspicion", OLD) == sorted(primitives)
    plan = world.plan()
    assert [(one["agent"], one["reason"]) for one in plan.drops] == [("suspicion", "rebuilt")]
    world.apply(plan)
    assert (world.own("suspicion", OLD), world.own("suspicion", ID)) == (None, sorted(primitives))
    assert world.plan().is_empty


C2, HASSH = ("toolchain.c2.c2_callback_endpoint", "203.0.113.9:443"), ("toolchain.ssh.hassh_client", "a" * 32)
JARM = ("toolchain.tls.jarm_server", "b" * 62)


def met(world, who, *values, ts=100.0):
    for n, (primitive, value) in enumerate(values):
        world.feed(observed(who, primitive, value, ts + n), topic="observations")


def test_a_link_of_the_old_name_is_the_ids_with_the_evidence_of_both(world):
    met(world, "Bob", C2, HASSH, JARM)
    met(world, OLD, C2, HASSH, ts=200.0)
    met(world, ID, JARM, ts=300.0)
    links = world.latest("identity-links")
    assert {key: link["status"] for key, link in links.items()} == {
        '["Bob","a.s."]': "observed", '["Ann","Bob"]': "observed"
    }  # fmt: skip
    world.command("Bob", "link_dismiss", b=OLD)
    plan = world.plan()
    assert plan.agents["linkage"] == "merged"
    world.apply(plan)
    [(key, link)] = world.latest("identity-links").items()
    assert (key, link["a"], link["b"]) == ('["Ann","Bob"]', ID, "Bob")
    assert {one["kind"] for one in link["evidence"] if one["counted"]} == {"c2", "hassh", "jarm"}
    assert (link["score"], link["status"]) == (0.892, "proposed"), (
        "a kind that the dismissal did not know brings it back"
    )
    for piece in link["evidence"]:
        assert piece["observations"][1].startswith("in-"), "each observation stands with its identity"
    first = {one["kind"]: one["observations"] for one in link["evidence"]}
    bobs = {"c2": "in-1", "hassh": "in-2", "jarm": "in-3"}
    assert {kind: pair[1] for kind, pair in first.items()} == bobs
    assert world.plan().is_empty
    report = world.verified()
    assert report.proved, report.findings


def test_two_words_of_people_that_differ_about_a_link_refuse_all(world):
    for n, who in enumerate(("Bob", OLD, ID)):
        met(world, who, C2, HASSH, JARM, ts=100.0 * (n + 1))
    world.command("Bob", "link_apply", b=OLD)
    world.command(ID, "link_dismiss", b="Bob")
    plan, before = world.plan(), world.states()
    [collision] = plan.collisions
    assert (collision["agent"], collision["field"], plan.refused) == ("linkage", "link_status", True)
    assert world.apply(plan)["conflict"] == 1
    assert world.states() == before
    world.command("Bob", "link_reverse", b=OLD)
    world.apply(world.plan())
    assert world.plan().is_empty
    assert {key: one["status"] for key, one in world.latest("identity-links").items()} == {'["Ann","Bob"]': "dismissed"}


def test_a_link_between_the_two_names_ends_as_they_are_one(world):
    met(world, OLD, C2)
    met(world, ID, C2, ts=200.0)
    plan = world.plan()
    assert [one["reason"] for one in plan.drops if one["agent"] == "linkage"] == ["links_itself"]
    world.apply(plan)
    assert world.latest("identity-links") == {}
    assert world.plan().is_empty


def test_a_moved_cap_holds_for_the_turns_of_the_id(world):
    world.command(OLD, "set_cap", cap=1)
    world.apply(world.plan())
    for turn in (1, 2):
        world.feed(
            {**OPENED, "identity": ID, "audit_id": f"t{turn}", "turn": turn, "ts": 2000.0 + turn}, topic="interactions"
        )
    found = [orjson.loads(raw.value) for n in range(PARTITIONS) for raw in world.topics.logs["modulations", n]]
    assert {one["audit_id"]: one["refusal"] for one in found} == {"t1": None, "t2": "rate_limited"}


def test_a_conflict_refuses_all_and_changes_nothing(world):
    written(world)
    world.command(ID, "set_cap", cap=5)
    before = world.states()
    plan = world.plan()
    assert plan.refused
    told = {"by": "op", "ts": 1000.0}
    answers = world.send(adoptions(plan, check=True, **told))
    assert Counter(one["outcome"] for one in answers)["conflict"] == 1
    assert {one["reason"] for one in answers if one["outcome"] == "conflict"} == {"daily_msg_cap"}
    assert world.states() == before


def without_ids(states):
    """States without what is named after the command that made it, or a digest of such."""
    return re.sub(rb'"c-[0-9a-f]{24}"|"\\$rekeyed":\[[^]]*\]', b'""', orjson.dumps(states, option=orjson.OPT_SORT_KEYS))


@pytest.mark.parametrize("steps", [1, 2])
def test_a_run_that_ends_between_two_steps_is_finished_by_the_next(world, new_table, steps):
    written(world)
    world.apply(world.plan(), steps=steps)
    again = world.plan()
    assert not again.refused
    assert again.moved == (sum(MOVERS[one.agent].merge is not None for one in again.retirements) if steps == 2 else 0)
    outcomes = world.apply(again)
    assert outcomes["unchanged"] == (2 * len(again.transfers) if steps == 2 else 0), outcomes
    assert world.plan().is_empty
    whole = World(new_table())
    written(whole)
    whole.apply(whole.plan())
    for agent in MOVERS:
        assert without_ids(world.states()[agent]) == without_ids(whole.states()[agent])


def test_what_was_written_after_the_plan_is_kept(world):
    written(world)
    plan = world.plan()
    told = {"by": "op", "ts": 1000.0}
    world.send(adoptions(plan, check=False, **told))
    world.command(OLD, "add_note", text="late")
    answers = world.send(retirements(plan, **told))
    refused = [(one["agent"], one["reason"]) for one in answers if one["outcome"] == "refused"]
    assert refused == [("bonds", "changed")]
    assert world.latest("bonds")[OLD]["notes"][-1].endswith("late")
    world.apply(world.plan())
    assert world.plan().is_empty
    assert [note[17:] for note in world.latest("bonds")[ID]["notes"]].count("late") == 1


def test_an_open_turn_refuses_and_what_is_going_on_is_dropped_once_it_ended(world):
    world.feed({**OPENED, "identity": OLD, "audit_id": "t1", "turn": 1}, topic="interactions")
    plan = world.plan()
    assert (plan.open_turns, plan.refused) == (["t1"], True)
    answers = world.send(retirements(plan, by="op", ts=1000.0))
    assert {one["agent"] for one in answers if one["reason"] == "open_turns"} >= {"modulation", "gating", "capture"}
    closed = {"kind": "closed", "identity": OLD, "audit_id": "t1", "response": "This."}
    world.feed(closed, topic="interactions")
    plan = world.plan()
    assert not plan.refused, plan.as_json()
    world.apply(plan)
    assert world.plan().is_empty


def test_a_command_about_another_subjects_state_or_agent_changes_nothing(world):
    written(world)
    plan, before = world.plan(), world.states()
    command = next(adoptions(plan, by="op", ts=1000.0, check=False))
    [answer] = world.send([{**command, "key": "Bob"}])
    assert (answer["outcome"], answer["reason"]) == ("refused", "key_of_another_subject")
    assert world.send([{**command, "agent": "nobody"}]) == []
    [answer] = world.send([{**command, "id": "garbled", "agent": "bonds", "key": ID, "state": {"entry": 5}}])
    assert (answer["outcome"], answer["reason"]) == ("conflict", "unreadable")
    assert world.states() == before


SUBJECTS = st.sampled_from([OLD, ID, *PROJECTS])
VALUES = st.sampled_from(["oak", "Steel", "steel"])
ACTIONS = st.one_of(
    st.builds(dict, kind=st.just("add_note"), text=VALUES),
    st.builds(dict, kind=st.just("state_set"), category=st.just("fact"), key=st.sampled_from("ab"), value=VALUES),
    st.builds(dict, kind=st.just("state_invalidate"), category=st.just("fact"), key=st.sampled_from("ab")),
    st.builds(
        dict,
        kind=st.just("memory_create"),
        type=st.just("knowledge"),
        content=VALUES,
        slot=st.sampled_from(["pad", "a", None]),
        status=st.sampled_from(["active", "candidate"]),
    ),
    st.builds(dict, kind=st.just("set_cap"), cap=st.integers(0, 2)),
)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(SUBJECTS, ACTIONS), max_size=14), st.sampled_from(["identity", "project"]), st.integers(0, 9))
def test_of_any_history_the_plan_is_kept_and_the_next_one_is_empty(new_table, history, scope, seed):
    world = World(new_table(), seed)
    for subject, action in history:
        if not (subject.startswith("project:") and action["kind"] in ("add_note", "set_cap")):
            world.command(subject, **{name: value for name, value in action.items() if value is not None})
    alias, old, new = (OLD, OLD, ID) if scope == "identity" else ("p05", *PROJECTS)
    plan, before = world.plan(alias, scope), world.states()
    outcomes = world.apply(plan)
    after = world.states()
    if plan.refused:
        assert after == before
        assert not {"adopted", "retired"} & set(outcomes) or not plan.collisions
        return
    assert world.plan(alias, scope).is_empty
    for agent in ("trust", "memory"):
        own = [key for key in before[agent] if subject_of(agent, key) in (old, new)]
        kept = [key for key in after[agent] if subject_of(agent, key) in (old, new)]
        assert {subject_of(agent, key) for key in kept} <= {new}
        gone = [one for one in plan.drops if one["agent"] == agent]
        assert len(kept) + len(gone) == len(own)
    untouched = [key for key in before["memory"] if subject_of("memory", key) not in (old, new)]
    assert all(after["memory"][key] == before["memory"][key] for key in untouched)
    report = world.verified()
    assert report.proved, report.findings


def test_a_digest_is_of_the_value_and_not_of_its_form():
    assert state_digest({"a": [1.5, None], "b": "é"}) == state_digest({"b": "é", "a": [1.5, None]})
    assert state_digest({"a": 1}) != state_digest({"a": 1.0})
