"""A decision as one plain sentence."""

import orjson
import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data import scenario
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.views.explain.sentences import DECISIONS, sentence


@pytest.fixture(scope="module")
def derived():
    simulation = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=4)
    found = [one for line in scenario.lines() for one in simulation.feed(orjson.dumps(line))]
    return [(topic, orjson.loads(value), headers) for topic, _, value, headers in found if isinstance(value, bytes)]


def test_every_decision_of_the_story_is_one_sentence_and_nothing_else_is(derived):
    for topic, value, headers in derived:
        said = sentence(topic, value, headers)
        assert (said is not None) == (topic in DECISIONS), topic
        if said is not None:
            assert said.endswith(".")
            assert "\n" not in said
    because = [sentence(*one) for one in derived if one[0] in ("modulations", "tool-decisions", "incidents")]
    assert all(", because " in said for said in because)


def test_a_tool_that_is_no_longer_allowed_names_the_reason(derived):
    said = [sentence(*one) for one in derived if one[0] == "tool-decisions" and one[1]["reason"] == "not_in_allowlist"]
    assert said
    assert all(one.endswith("is denied, because the tool was not on the allowlist.") for one in said)


def test_what_a_producer_wrote_cannot_break_the_line():
    value = {
        "call_id": "c\n\x1b[31m",
        "audit_id": "t",
        "function": "f\r",
        "decision": "denied",
        "reason": "unknown_tool",
    }
    said = sentence("tool-decisions", value, {})
    assert said.isprintable()
    assert sentence("signals.dlq", None, {"endocrine-error": "not\nJSON"}).isprintable()


def test_simulate_explains_instead_of_printing_records(tmp_path):
    import typer
    from typer.testing import CliRunner

    from endocrine.pipeline.cli import simulate

    app = typer.Typer()
    app.callback()(lambda: None)
    simulate.register(app)
    file = tmp_path / "story.jsonl"
    opened = {"kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "c"}
    opened |= {"prompt": "Delete everything?", "ts": 1.0, "signals": [{"name": "alignment_risk", "level": 0.7}]}
    file.write_bytes(orjson.dumps({"topic": "interactions", "value": opened}) + b"\nnonsense\n")
    result = CliRunner().invoke(app, ["simulate", str(file), "--explain"])
    turn, dead = result.stdout.splitlines()
    assert turn.startswith("Turn t1 of ann runs strict at temperature 0.405")
    assert "because alignment_risk is 0.7 (from runtime)" in turn
    assert dead.startswith("A record of input is refused as a dead letter, because not JSON")
    both = CliRunner().invoke(app, ["simulate", str(file), "--explain", "--mark"])
    assert (both.exit_code, "--mark with --explain" in both.stderr) == (2, True)
