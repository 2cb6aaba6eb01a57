"""The agents' states now, read from their changelogs."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from endocrine.agents.contract import Agent
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.producer_dedup import unpack
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.snapshot import take_snapshot
from endocrine.pipeline.replay.state_files import read_states


async def live_states(
    settings: Settings, agents: Mapping[str, Agent], progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, dict[str, Any]]:
    """States by agent and key, each unit as of a batch of its own. Raises what `take_snapshot` raises."""
    found: dict[str, dict[str, Any]] = {name: {} for name in agents}
    with tempfile.TemporaryDirectory(prefix="endocrine-states-") as name:
        folder = Path(name)
        manifest = await take_snapshot(settings, folder, list(agents), version="", progress=progress)
        for unit, about in manifest["units"].items():
            agent = agents[unit.rpartition("/")[0]]
            deduplicated = any(CATALOGUE[topic].producer_dedup for topic in agent.sources)
            for key, stored in read_states(folder, about):
                state = unpack(stored)[0] if deduplicated else orjson.loads(stored)
                if state is not None:
                    found[agent.name][key] = state
    return found
