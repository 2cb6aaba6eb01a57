"""Who remembers which turns: what the gate allows must be what modulation still tightens."""

import json

import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.policy_files import shipped_policy


def test_the_gate_knows_no_turn_as_open_that_modulation_has_forgotten():
    document = shipped_policy().document
    gate, modulation = document.gating, document.homeostat.memory
    assert gate.open_turns <= modulation.open_turns
    assert gate.answered_turns <= modulation.answered_turns
    assert gate.closed_turns == modulation.closed_turns  # or a turn opened again is open to one of them alone


@pytest.mark.parametrize("younger", [0, 20, 31, 32, 40])
def test_risk_that_names_an_older_turn_reaches_its_calls(younger):
    simulation = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=4)
    turns = [
        {"kind": "opened", "audit_id": f"t{n}", "identity": "ann", "session_id": "s", "turn": n, "client": "c",
         "prompt": "What is a peptide?", "ts": 100.0 + n}
        for n in range(younger + 1)
    ]  # fmt: skip
    risk = {"name": "alignment_risk", "level": 0.95, "ttl_ms": 0, "source": "guard", "audit_id": "t0"}
    call = {"call_id": "c", "audit_id": "t0", "tool": "open_url", "arguments": {"url": "https://a.example"}, "step": 1}
    records = [("interactions", turn) for turn in turns]
    records += [("signals", {**risk, "identity": "ann", "ts": 200.0})]
    records += [("tool-calls", {**call, "identity": "ann", "ts": 201.0})]
    decided = []
    for topic, value in records:
        line = json.dumps({"topic": topic, "value": value})
        decided += [one for one in simulation.feed(line.encode()) if one[0] == "tool-decisions"]
    assert [json.loads(one[2])["decision"] for one in decided] == ["denied"]
