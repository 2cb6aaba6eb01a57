"""One record through an agent, as the runtime does it: the state is stored and read back in between."""

from collections.abc import Sequence
from typing import Any

import orjson

from endocrine.agents.contract import Agent, Output, Trigger


def processed(agent: Agent, state: Any, trigger: Trigger, policy: Any) -> tuple[Any, Sequence[Output]]:
    """The state after a record, read back from its bytes, and the outputs. Fails where the state given was changed."""
    before = orjson.dumps(state)
    after, outputs = agent.process(state, trigger, policy)
    assert orjson.dumps(state) == before, "process changed the state it was given"
    return orjson.loads(orjson.dumps(after)), outputs
