"""The settings of a competitor, and the fold in the form in which those that are not ours use it."""

import json
import sys
from dataclasses import dataclass, fields
from typing import Any

from endocrine.agents.attribution.agent import AGENT
from endocrine.agents.contract import State, Trigger
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import load_policy


@dataclass(frozen=True)
class Job:
    """One run. prefix: of every topic. folder: where to keep local state. agents: of our worker only."""

    bootstrap: str
    prefix: str
    partitions: int
    folder: str
    agents: tuple[str, ...] = ("attribution",)
    variant: str = ""
    """See bench.contenders."""
    compression: str = "none"
    """Of what it writes: none, lz4 or zstd."""
    recorded: str = ""
    """Folder with what `ideal` writes."""

    @property
    def source(self) -> str:
        """Topic of observations."""
        return f"{self.prefix}observations"

    @property
    def target(self) -> str:
        """Topic of changes."""
        return f"{self.prefix}attribution-changes"

    @property
    def group(self) -> str:
        """Consumer group."""
        return f"{self.prefix}group"

    @property
    def codec(self) -> str | None:
        """As aiokafka takes it."""
        return None if self.compression == "none" else self.compression

    def given(self) -> dict[str, Any]:
        """Its fields, but for later ones that have their default: an older checkout's competitor takes it, too."""
        return {
            field.name: value
            for number, field in enumerate(fields(self))
            if (value := getattr(self, field.name)) != field.default or number < 5
        }


def read_job() -> Job:
    """The job on the command line."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    return Job(**{**given, "agents": tuple(given["agents"])})


_ADAPTER = CATALOGUE["observations"].adapter
_POLICY = load_policy()
CHANGES = "attribution-changes"


def fold(state: State, observation: dict[str, Any]) -> tuple[State, list[dict[str, Any]]]:
    """The new state and the changes, of one observation that was parsed. Raises pydantic's ValidationError.

    Same schema, same agent, same policy as ours; states (`attribution-states`) are left out for all others.
    """
    value = _ADAPTER.validate_python(observation)
    after, outputs = AGENT.process(state, Trigger("observations", value["id"], value["identity_ref"], value), _POLICY)
    return after, [dict(out.value) for out in outputs if out.topic == CHANGES]
