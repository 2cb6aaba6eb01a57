"""The scheduler: keeps a task as a record."""

from endocrine.pipeline.connectors.contract import EffectRecord
from endocrine.pipeline.connectors.tools.handler import Answer, Call, ToolError

MAX_CHARS = 2000
"""Characters of `when` and `note`, each."""


class Scheduler:
    """Writes to `scheduled-tasks`. The record depends on the call alone: produced twice, it is one and the same."""

    async def run(self, call: Call) -> Answer:
        """Record the task. Raises ToolError where a text is too long."""
        when, note = call.arguments["when"], call.arguments["note"]
        for name, text in (("when", when), ("note", note)):
            if len(text) > MAX_CHARS:
                raise ToolError(f"{name} has {len(text)} characters, expected at most {MAX_CHARS}")
        task = {
            "call_id": call.call_id,
            "audit_id": call.audit_id,
            "identity": call.identity,
            "when": when,
            "note": note,
            "ts": call.ts,
        }
        return Answer({"scheduled": when}, [EffectRecord("scheduled-tasks", task)])

    async def close(self) -> None:
        """Do nothing: nothing is held."""
