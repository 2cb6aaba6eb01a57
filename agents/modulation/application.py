"""What a turn may have of its application's own functions, and whether ours are offered beside them (doors, section 2).

The application declares functions on opening; those that the policy lists for its client, whose schemas the gate can
hold arguments against, and whose names no tool of ours on offer has, may be allowed. Which of them are in force is a
matter of the mode alone, so that nothing but the mode has to be kept to hold a turn to it.
"""

from typing import Any

from endocrine.agents.gating.declared import declared_fault, schema_digest
from endocrine.agents.modulation.memory import Memory, Turn
from endocrine.agents.policy.compiled import Policy
from endocrine.schemas.application import functions_chars
from endocrine.schemas.interactions import Opened


def opened(memory: Memory, turn: Turn, value: Opened, policy: Policy) -> None:
    """Take in what an opening turn declares; nothing of it where there is no room for more."""
    rules = policy.document.applications.of(value.client)
    turn.own_tools = value.door != "openai" or rules.own_tools
    if value.application_tools is None:
        return
    taken = policy.document.tools.by_function if turn.own_tools else {}
    functions = [
        function.model_dump()
        for function in value.application_tools
        if function.name not in taken
        and rules.allows(function.name, "balanced")
        and declared_fault(function.parameters) is None
    ]
    digest = schema_digest({one["name"]: one for one in functions})
    if digest not in memory.declared:
        if functions_chars([*memory.declared.values(), functions]) > policy.document.gating.declared_chars:
            functions, digest = [], schema_digest({})
        memory.declared[digest] = functions
    turn.declared, turn.client = digest, value.client


def functions_of(memory: Memory, turn: Turn, policy: Policy) -> list[dict[str, Any]]:
    """Return the application's functions that are allowed in the turn's mode, as a model takes them."""
    if turn.declared is None or turn.client is None:
        return []
    rules, mode = policy.document.applications.of(turn.client), turn.parameters["safety_mode"]
    return [function for function in memory.declared[turn.declared] if rules.allows(function["name"], mode)]
