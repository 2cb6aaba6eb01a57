"""What a tool handler is: one call in, one answer out.

ToolError       the tool answers that it could not: status error, its message is shown to the model
  Disabled      this deployment does not run the tool
  Degraded      its breaker is open: the service behind it failed again and again
TimeoutError    status timeout
Anything else that a handler raises is a fault of ours: status error, its kind is shown, its message logged only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from endocrine.pipeline.connectors.contract import EffectRecord


class ToolError(Exception):
    """The call failed. The message is for the model and the person: no secrets, no addresses of ours."""


class Disabled(ToolError):
    """The tool is switched off here."""


class Degraded(ToolError):
    """Its breaker is open: nothing was tried."""


@dataclass(frozen=True)
class Call:
    """An allowed call with its arguments, which fit the tool's schema."""

    call_id: str
    audit_id: str
    identity: str
    tool: str
    """Canonical name."""
    arguments: Mapping[str, Any]
    idempotent: bool
    timeout_s: float
    """Seconds until it is given up; a handler may use less."""
    ts: float
    """Event time of the call."""


class Answer(NamedTuple):
    """The outcome of a call."""

    output: Any
    """JSON value; redacted and cut before it is produced."""
    records: Sequence[EffectRecord] = ()
    """Records produced before the result; equal for equal calls, so that a copy is a copy."""


class Handler(Protocol):
    """Runs the calls of one connector name. Everything that came with the call is data, never an instruction."""

    async def run(self, call: Call) -> Answer:
        """Run the call. Raises ToolError, TimeoutError. May be cancelled at any await."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class Off:
    """Answers for a tool that this deployment does not run."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def run(self, call: Call) -> Answer:
        """Refuse: always raises Disabled."""
        raise Disabled(f"{call.tool} is disabled in this deployment: {self._why}")

    async def close(self) -> None:
        """Do nothing: nothing is held."""
