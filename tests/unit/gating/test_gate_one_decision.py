"""Whatever comes: one call id has at most one allowed decision, none after a denial, and nothing else ever runs."""

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from endocrine.agents._shared.arguments import digest_of
from endocrine.agents.contract import Reject
from endocrine.pipeline.connectors.tools.calls import CallKey, Found, HeldCalls
from endocrine.schemas.tools import ToolCall
from properties import examples

TURNS = st.sampled_from(["t1", "t2"])
IDS = st.sampled_from(["a", "b"])
ASKED = st.sampled_from(
    [
        ("retrieve_knowledge", {"query": "x"}),
        ("retrieve_knowledge", {"query": "DANGER"}),
        ("retrieve_knowledge", "{"),
        ("open_url", {"url": "inside"}),
        ("open_url", {"url": "outside"}),
        ("open_url", '{"url": "inside"}'),
        ("schedule_task", {"when": "w", "note": "n"}),
        ("browser", {}),
    ]
)
REFUSALS = st.sampled_from([None, None, "held", "denied"])
TIMES = st.sampled_from([0.0, 0.0, 0.0, 200.0, -1000.0])
OUTSIDE = {"when": {"required": ["url"], "properties": {"url": {"pattern": "^outside$"}}}}


def machine(make_gate, shipped, **gating):
    """The gate and the tool connector side by side, with the records of a hostile producer."""

    class Machine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            browser = {**shipped("tools")["browser"], "approval": OUTSIDE}
            self.gate = make_gate(tools={"browser": browser}, approval_ttl_s=60.0, **gating)
            self.held = HeldCalls()
            self.said = defaultdict(list)
            self.revisions = defaultdict(int)
            self.now = 1000.0

        def take(self, send, **more):
            try:
                outputs = send(appended=self.now, **more)
            except Reject:
                return
            for one in outputs:
                if "decision" in one:
                    self.said[one["audit_id"], one["call_id"]].append(one)

        @initialize(turn=TURNS)
        def begin(self, turn):
            self.open(turn)
            self.modulate(turn, None)

        @rule(turn=TURNS)
        def open(self, turn):
            self.take(lambda appended: self.gate.open(turn, ts=self.now, appended=appended))

        @rule(turn=TURNS, refusal=REFUSALS)
        def modulate(self, turn, refusal):
            self.revisions[turn] += 1
            revision = self.revisions[turn]
            self.take(lambda appended: self.gate.modulate(turn, revision=revision, refusal=refusal))

        @rule(turn=TURNS, call=IDS, asked=ASKED, ahead=TIMES)
        def call_again(self, turn, call, asked, ahead):
            self.call(turn, call, asked, 1, ahead)

        @rule(turn=TURNS, call=IDS, asked=ASKED, step=st.integers(1, 7), ahead=TIMES)
        def call(self, turn, call, asked, step, ahead):
            tool, arguments = asked
            value = ToolCall(
                call_id=call, audit_id=turn, identity="ann", tool=tool, arguments=arguments, step=step,
                ts=max(0.0, self.now + ahead),
            )  # fmt: skip
            self.held.add(Found(value, "", self.now), "ann", 100)
            self.take(lambda appended: self.gate.feed("tool-calls", value, appended=appended))

        @rule(turn=TURNS, count=st.integers(1, 5))
        def flood(self, turn, count):
            for number in range(count):
                self.take(
                    lambda appended, number=number: self.gate.call(
                        call_id=f"x{self.gate.fed}-{number}", audit_id=turn, ts=self.now, appended=appended
                    )
                )

        @rule(call=IDS, agrees=st.booleans(), ahead=TIMES)
        def answer(self, call, agrees, ahead):
            given = self.gate.approve if agrees else self.gate.deny
            self.take(lambda appended: given(call, ts=max(0.0, self.now + ahead), appended=appended))

        @rule(turn=TURNS, status=st.sampled_from(["ok", "error"]), ahead=TIMES)
        def result(self, turn, status, ahead):
            ts = max(0.0, self.now + ahead)
            self.take(lambda appended: self.gate.result(status=status, audit_id=turn, ts=ts, appended=appended))

        @rule(seconds=st.sampled_from([1.0, 61.0, 1000.0]))
        def wait(self, seconds):
            self.now += seconds

        @rule(turn=TURNS)
        def close(self, turn):
            self.take(lambda appended: self.gate.close(turn, ts=self.now, appended=appended))

        @invariant()
        def what_was_decided_stays_decided(self):
            for decisions in self.said.values():
                ours = [one for one in decisions if one["reason"] != "conflicting_call"]
                kinds = [one["decision"] for one in ours]
                assert kinds.count("allowed") <= 1
                if "allowed" in kinds:
                    assert set(kinds[: kinds.index("allowed")]) <= {"pending"}

        @invariant()
        def a_connector_runs_the_arguments_that_were_allowed_and_no_others(self):
            for decisions in self.said.values():
                allowed = [one for one in decisions if one["decision"] == "allowed"]
                for one in decisions:
                    key = CallKey.of_decision(one)
                    found = None if key is None or one["decision"] != "allowed" else self.held.get(key)
                    if found is None or not isinstance(found.call.arguments, dict):
                        continue
                    assert digest_of(found.call.arguments) == allowed[0]["arguments_digest"]
                    assert found.call.tool == allowed[0]["function"]

        @invariant()
        def memory_is_bounded(self):
            if self.gate.state is not None:
                assert len(self.gate.state["calls"]) <= self.gate.policy.document.gating.calls_remembered

    return Machine


@pytest.mark.parametrize("room", [1, 3, 1000])
def test_no_sequence_of_records_gets_a_call_past_its_first_decision(make_gate, shipped, room):
    run_state_machine_as_test(
        machine(make_gate, shipped, calls_remembered=room, closed_turns=8),
        settings=settings(max_examples=examples(30), stateful_step_count=30, deadline=None),
    )
