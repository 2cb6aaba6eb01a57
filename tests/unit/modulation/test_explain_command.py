"""`endocrine explain-signals` over what `endocrine simulate` printed."""

import orjson
import pytest
import typer
from typer.testing import CliRunner

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.explain_signals import register
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.policy_files import shipped_policy

TURN = {"kind": "opened", "session_id": "s", "turn": 0, "client": "c", "prompt": "hello", "ts": 100.0}


@pytest.fixture
def explained(tmp_path):
    simulation = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=2)
    signals = [{"name": "stress", "level": 0.9, "source": "probe"}]
    value = {**TURN, "audit_id": "t1", "identity": "ann", "signals": signals}
    lines = [record.line() for record in simulation.feed(orjson.dumps({"topic": "interactions", "value": value}))]
    path = tmp_path / "derived.jsonl"
    path.write_bytes(b"\n".join(lines))
    app = typer.Typer()
    register(app)
    return lambda audit_id, content=None: CliRunner().invoke(app, [audit_id, str(path)])


def test_a_turn_is_explained_from_the_lines_of_simulate(explained):
    result = explained("t1")
    assert result.exit_code == 0
    assert "revision 0: stress 0.9 from probe at 1970-01-01 00:01:40.000 UTC: used\n" in result.output
    assert "by stress (guard)" in result.output


def test_a_turn_that_is_not_there_is_said_to_be_missing(explained):
    result = explained("t9")
    assert result.exit_code == 1
    assert "t9: no modulation of this turn among 1" in result.output
