"""What results and audits contain about a call: its arguments, summarised (rules, section 4)."""

import hashlib
from typing import TYPE_CHECKING

from endocrine.agents._shared.arguments import read_arguments
from endocrine.agents._shared.redaction import summarise
from endocrine.schemas.tools import ToolCall

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

_ID_CHARS = 200
"""An audit_id up to this length is part of our ids as it is; with what follows it they stay within 256."""
_RETRIEVAL = "retrieval"
_QUERY = "query"


def base_id(audit_id: str) -> str:
    """Return what our own ids of a turn begin with. Read from their end, no two turns' ids can be the same."""
    if len(audit_id) <= _ID_CHARS:
        return audit_id
    return hashlib.sha256(audit_id.encode("utf-8", "surrogatepass")).hexdigest()


def retrieval_id(audit_id: str) -> str:
    """Return the call id of our own search before a turn's first model step."""
    return f"{base_id(audit_id)}/{_RETRIEVAL}"


def hides_prompt(audit_id: str, call_id: str, policy: "Policy") -> bool:
    """Return whether the call's query is the user's prompt, which the policy keeps out of the records of turns."""
    return call_id == retrieval_id(audit_id) and not policy.document.audit.include_prompt


def summary_of(call: ToolCall, policy: "Policy") -> str:
    """Return the redacted summary of a call's arguments; of our own search without the prompt: `<prompt, N
    characters>`."""
    rules = policy.document.gating
    if not hides_prompt(call.audit_id, call.call_id, policy):
        return summarise(call.arguments, rules)
    arguments = read_arguments(call.arguments, rules.arguments_depth)
    if arguments is None or not isinstance(query := arguments.get(_QUERY), str):
        return f"<prompt, {len(call.arguments)} characters>" if isinstance(call.arguments, str) else "<prompt>"
    return summarise({**arguments, _QUERY: f"<prompt, {len(query)} characters>"}, rules)
