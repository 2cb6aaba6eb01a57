"""What a decision says to a person (`message`): why, and what to do. Never any of the call's own content."""

from collections.abc import Mapping

from endocrine.schemas.vocabulary import Reason

_OF: Mapping[Reason, str] = {
    "conflicting_call": "Another call with other content was taken under this call_id first; this one never runs. "
    "Use a call_id of its own for each call.",
    "stale_call": "The call's ts lay too far back when the call arrived. Send it with the time at which it was asked "
    "for, under a call_id of its own.",
    "unknown_turn": "No turn of this audit_id was opened, or it was forgotten. Open the turn first.",
    "turn_closed": "The turn has ended. Open a new one.",
    "unknown_tool": "No tool has this function name. The functions that a turn may use are those of its modulation.",
    "disabled_by_flag": "The tool is switched off here. Go on without it; the turn is strict from here on.",
    "not_in_allowlist": "The turn may not use this tool. Go on without it; the turn is strict from here on.",
    "invalid_arguments": "The arguments are not exactly one JSON object that fits the tool's schema.",
    "step_limit": "The turn has had its model steps.",
    "rate_limited": "Too many calls for now, or the turn was refused for that. Try again later.",
    "circuit_open": "The tool failed several times in a row and is left alone for a while. Try again later.",
    "budget_exceeded": "The turn was refused: its budget is spent.",
    "approval_denied": "A person denied it.",
    "approval_expired": "Nobody answered in time. Ask again under a call_id of its own.",
    "awaiting_approval": "It waits for a person.",
}


def message_of(reason: Reason | None, function: str | None = None) -> str | None:
    """Return the message of a reason; None where there is no reason.

    function: where the call gave the name that policies use, the function name that it should have given.
    """
    if function is not None:
        return f"That is the name which policies use. The function is called {function}: call it by that name."
    return None if reason is None else _OF[reason]
