"""The records of a turn: its first revision, and those that follow."""

from typing import Any

from agents.contract import Output
from agents.modulation.activation import listing
from agents.modulation.combine import Style, settle
from agents.modulation.memory import Held, Memory, Turn
from agents.policy.compiled import Policy
from agents.policy.parameters import PARAMETERS

TARGET = "modulations"


def first(
    policy: Policy, identity: str, audit_id: str, memory: Memory, turn: Turn, others: list[dict[str, Any]]
) -> Output:
    """Settle a turn that opens. others: the signals looked at that do not count."""
    settled = settle(policy, _levels(turn.used), _style(memory), turn.tightened_by)
    turn.parameters = settled.parameters
    return _output(policy, identity, audit_id, turn, settled.lineage, listing(policy, turn.used, others), turn.ts)


def revised(
    policy: Policy,
    identity: str,
    audit_id: str,
    memory: Memory,
    turn: Turn,
    used: list[Held],
    ts: float,
    always: bool = False,
) -> list[Output]:
    """Settle an open turn again: a new revision if any parameter changes, or `always`; else nothing."""
    settled = settle(policy, _levels(used), _style(memory), turn.tightened_by)
    turn.used = used
    if settled.parameters == turn.parameters and not always:
        return []
    turn.parameters, turn.revision = settled.parameters, turn.revision + 1
    return [_output(policy, identity, audit_id, turn, settled.lineage, listing(policy, used, []), ts)]


def tightened(policy: Policy, identity: str, audit_id: str, turn: Turn, incident_id: str, ts: float) -> list[Output]:
    """Make an open turn strict for the rest of its life: mode and allowlist, numbers as they were (rules, section 4).

    A new revision if that changes anything. Its lineage begins with what the revision before it had (`carry`).
    """
    if turn.tightened_by is not None:
        return []
    turn.tightened_by = incident_id
    before = turn.parameters
    tools = PARAMETERS["tool_allowlist"].tighter(before["tool_allowlist"], policy.document.strict_allowlist)
    after = {**before, "safety_mode": "strict", "tool_allowlist": tools}
    if after == before:
        return []
    carried = f"revision {turn.revision}"
    turn.parameters, turn.revision = after, turn.revision + 1
    lineage = {}
    for name, value in after.items():
        lineage[name] = [{"step": "carry", "by": carried, "from": None, "to": before[name]}]
        if value != before[name]:
            lineage[name].append({"step": "tighten", "by": incident_id, "from": before[name], "to": value})
    return [_output(policy, identity, audit_id, turn, lineage, listing(policy, turn.used, []), ts)]


def _levels(used: list[Held]) -> dict[str, float]:
    return {signal.name: signal.level for signal in used}


def _style(memory: Memory) -> Style:
    return Style() if memory.style is None else Style(*memory.style)


def _output(
    policy: Policy,
    identity: str,
    audit_id: str,
    turn: Turn,
    lineage: dict[str, Any],
    signals: list[dict[str, Any]],
    ts: float,
) -> Output:
    risk = _levels(turn.used).get("alignment_risk", 0.0)
    mode = turn.parameters["safety_mode"]
    value = {
        "audit_id": audit_id,
        "identity": identity,
        "revision": turn.revision,
        "admitted": turn.admitted,
        "refusal": turn.refusal,
        "review": "suggested" if risk >= policy.document.homeostat.review_from else "none",
        "mode": mode,
        "parameters": turn.parameters,
        "prompt_style": mode,
        "signals": signals,
        "lineage": lineage,
        "policy": policy.digest,
        "ts": ts,
    }
    return Output(TARGET, identity, value)
