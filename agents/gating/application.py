"""Functions that an application declares for a turn and runs itself (doors, section 2), as the gate knows them.

A call of such a function is allowed where the turn's modulation lists it, with the very schema that the opening
declared: the arguments are judged against the opening's when the call comes, which may be before the modulation does.
After a blocked call those remain that the policy keeps in strict turns.
"""

from typing import TYPE_CHECKING, Any

from endocrine.agents.gating.declared import fits_declared, schema_digest
from endocrine.agents.gating.memory import GatingState, PendingCall, Turn
from endocrine.schemas.application import functions_chars
from endocrine.schemas.interactions import Opened
from endocrine.schemas.modulations import Modulation

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def opened(state: GatingState, turn: Turn, value: Opened, policy: "Policy") -> tuple[GatingState, Turn]:
    """Return the state and the turn that opens, with what it declares; without it where there is no room."""
    if not value.application_tools:
        return state, turn
    functions = {function.name: function.parameters for function in value.application_tools}
    digest, held = schema_digest(functions), state.get("declared", {})
    if digest not in held:
        chars = functions_chars([*held.values(), functions])
        if chars > policy.document.gating.declared_chars:
            return state, turn
    return {**state, "declared": {**held, digest: functions}}, {**turn, "declared": digest, "client": value.client}


def kept(state: GatingState) -> GatingState:
    """Return the state without what no open turn declares."""
    held = state.get("declared")
    if held is None:
        return state
    needed = {turn.get("declared") for turn in state["turns"].values()}
    left = {digest: functions for digest, functions in held.items() if digest in needed}
    if len(left) == len(held):
        return state
    after: GatingState = {**state, "declared": left}
    if not left:
        del after["declared"]
    return after


def in_force(modulation: Modulation) -> dict[str, str]:
    """Return the application's functions that a modulation allows, each with the digest of its schema."""
    names = set(modulation.application_tools or ())
    return {one.name: schema_digest(one.parameters) for one in modulation.functions if one.name in names}


def judged(state: GatingState, audit_id: str, function: str, arguments: Any) -> bool | None:
    """Return whether arguments fit what the turn declares of a function; None where it declares none of that name."""
    schema = _schema(state, state["turns"].get(audit_id), function)
    return None if schema is None else arguments is not None and fits_declared(schema, arguments)


def allowed(state: GatingState, turn: Turn | None, call: PendingCall, own: bool, policy: "Policy") -> bool | None:
    """Return whether the turn may have this function of the application called; None: the call is about none of them.

    own: a tool of ours that has this function name is on the turn's allowlist.
    """
    function = call["function"]
    schema = _schema(state, turn, function) if "declared" in call else None
    if schema is None or turn is None or turn["force"] is None:
        return None
    listed = turn["force"].get("application", {}).get(function)
    if listed is None or listed != schema_digest(schema):
        return None if own else False
    if turn["cut"] is None:
        return True
    return policy.document.applications.of(turn["client"]).allows(function, "strict")


def _schema(state: GatingState, turn: Turn | None, function: str) -> Any:
    if turn is None or "declared" not in turn:
        return None
    return state["declared"][turn["declared"]].get(function)
