"""A state that is kept takes memory of its length, not of the buffer that it was written into."""

import subprocess
import sys

import pytest

KEPT = """
import orjson
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.process.policy_files import shipped_policy

def resident():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * 4096

def observed(n):
    value = {"primitive": "motor.input_modality", "value": "typed", "confidence": 0.5, "source": "s", "ts": 1.7e9 + n,
        "window": {"start_ts": 1.7e9, "end_ts": 1.7e9 + 1}, "evidence_ref": None, "identity_ref": f"u{n}",
        "id": f"{n:032x}", "v": 1}
    return "observations", Fetched(0, n, 1_700_000_000_000 + 1000 * n, f"u{n}".encode(), orjson.dumps(value), ())

agent = next(agent for agent in AGENTS if agent.name == "attribution")
engine, policy, kept = Engine(agent, 1, "v", Sizes(), simulated_seals()), shipped_policy(), {}
for first in range(0, 22_000, 1000):
    if first == 2000:
        before, held = resident(), len(kept)
    done = engine.process([observed(n) for n in range(first, first + 1000)], policy, kept.get, {}, partition=0)
    kept.update(done.states)
print((resident() - before) / (len(kept) - held))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_kept_state_takes_less_than_a_kilobyte_with_its_key() -> None:
    told = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert float(told.stdout) < 1000
