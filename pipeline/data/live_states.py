"""The agents' states now, read from their changelogs."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from endocrine.agents.contract import Agent
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.state_format import state_format
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.snapshot import take_snapshot
from endocrine.pipeline.replay.state_files import read_states
from endocrine.pipeline.views.status.lag import read_consumer_lag

_AGAIN_S = 0.2
"""Seconds between two looks at how far workers are."""


class NotCaughtUp(Exception):
    """Workers have not read all that lies on their topics."""


async def caught_up(settings: Settings, agents: Sequence[Agent], within_s: float) -> None:
    """Return once the agents have read every record that lies on their topics at the call.

    What doors wrote under an alias lies before its registration, which is there by now: so all of it is in the states
    then. Raises NotCaughtUp after `within_s` seconds, and what `read_consumer_lag` raises.
    """
    consumer_lag, ends = await read_consumer_lag(settings, agents)
    deadline = time.monotonic() + within_s
    while not consumer_lag.settled(ends):
        if time.monotonic() >= deadline:
            behind = ", ".join(agent for agent, lag in consumer_lag.lag(ends).items() if lag)
            raise NotCaughtUp(f"{behind} did not read all records within {within_s:g} s; does a worker run?")
        await asyncio.sleep(_AGAIN_S)
        consumer_lag, _ = await read_consumer_lag(settings, agents)


async def live_states(
    settings: Settings, agents: Mapping[str, Agent], progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, dict[str, Any]]:
    """Return states by agent and key, each unit as of a batch of its own. Raises what `take_snapshot` raises."""
    found: dict[str, dict[str, Any]] = {name: {} for name in agents}
    with tempfile.TemporaryDirectory(prefix="endocrine-states-") as name:
        folder = Path(name)
        manifest = await take_snapshot(settings, folder, list(agents), version="", progress=progress)
        for unit, about in manifest["units"].items():
            agent = agents[unit.rpartition("/")[0]]
            form = state_format(agent)
            for key, stored in read_states(folder, about):
                if key == CHAIN_KEY:
                    continue  # the end of the audit chain: nobody's state
                state, _ = form.decode(key, stored)
                if state is not None:
                    found[agent.name][key] = state
    return found
