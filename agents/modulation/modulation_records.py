"""The records of a turn: its first revision, and those that follow."""

from collections.abc import Iterable
from typing import Any

from endocrine.agents.contract import Output
from endocrine.agents.modulation import application, holds
from endocrine.agents.modulation.active_signals import listing
from endocrine.agents.modulation.combine import Hold, Settled, Style, settle
from endocrine.agents.modulation.memory import RISK, Accepted, Memory, Turn
from endocrine.agents.modulation.stored import Listed
from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.functions import functions_of
from endocrine.agents.policy.parameters import PARAMETERS

TARGET = "modulations"


def first(
    policy: Policy,
    identity: str,
    audit_id: str,
    memory: Memory,
    turn: Turn,
    others: Iterable[Listed],
    ts: float,
    *,
    risk_alone: bool,
) -> Output:
    """Settle a turn that opens. others: the signals looked at that do not count.

    risk_alone: the turn brings alignment_risk and nothing else. It has signals of its own, so those of its wording do
    not shape it; but the risk must not silence them either: the turn is no looser than they would have it.
    """
    listed = turn.used
    settled = settle(policy, _levels(turn.used), _style(memory), Hold(own_tools=turn.own_tools))
    if risk_alone:
        words = policy.document.heuristics.source
        turn.used = [one for one in turn.used if one.source != words or one.audit_id != audit_id]
        hold = Hold(before=settled.parameters, label=words, own_tools=turn.own_tools)
        settled = settle(policy, _levels(turn.used), _style(memory), hold)
        if not any(step["step"] == "hold" for steps in settled.lineage.values() for step in steps):
            listed = turn.used
    turn.parameters = settled.parameters
    holds.hold(turn, risk_of(turn), memory, ts, policy.document.review)
    return _output(policy, identity, audit_id, memory, turn, settled.lineage, listing(policy, listed, others), ts)


def revised(
    policy: Policy,
    identity: str,
    audit_id: str,
    memory: Memory,
    turn: Turn,
    ts: float,
    *,
    always: bool = False,
    cleared: Accepted | None = None,
) -> list[Output]:
    """Settle an open turn again, from `turn.used`: a new revision if it changes, or `always`; else nothing.

    Nothing becomes looser than it was, unless an operator cleared the alignment_risk that counted: `cleared`.
    """
    status = (turn.admitted, turn.refusal)
    settled = _settled(policy, memory, turn, held_to_before=cleared is None)
    holds.hold(turn, risk_of(turn), memory, ts, policy.document.review)
    if settled.parameters == turn.parameters and status == (turn.admitted, turn.refusal) and not always:
        return []
    others = [] if cleared is None else [cleared.listed("cleared")]
    return [_next(policy, identity, audit_id, memory, turn, settled, listing(policy, turn.used, others), ts)]


def answered(policy: Policy, identity: str, audit_id: str, memory: Memory, turn: Turn, ts: float) -> Output:
    """Return the revision that ends the waiting of a held turn; whether it is admitted was settled before."""
    settled = _settled(policy, memory, turn, held_to_before=True)
    return _next(policy, identity, audit_id, memory, turn, settled, listing(policy, turn.used, []), ts)


def tightened(
    policy: Policy, identity: str, audit_id: str, memory: Memory, turn: Turn, incident_id: str, ts: float
) -> list[Output]:
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
    lineage = {}
    for name, value in after.items():
        lineage[name] = [{"step": "carry", "by": _label(turn), "from": None, "to": before[name]}]
        if value != before[name]:
            lineage[name].append({"step": "tighten", "by": incident_id, "from": before[name], "to": value})
    return [
        _next(policy, identity, audit_id, memory, turn, Settled(after, lineage), listing(policy, turn.used, []), ts)
    ]


def risk_of(turn: Turn) -> float:
    """Return the alignment_risk that counts for a turn; 0 without."""
    return _levels(turn.used).get(RISK, 0.0)


def _settled(policy: Policy, memory: Memory, turn: Turn, *, held_to_before: bool) -> Settled:
    before = turn.parameters if held_to_before else None
    hold = Hold(turn.tightened_by, turn.approved_by, before, _label(turn), turn.own_tools)
    return settle(policy, _levels(turn.used), _style(memory), hold)


def _label(turn: Turn) -> str:
    return f"revision {turn.revision}"


def _levels(used: list[Accepted]) -> dict[str, float]:
    return {signal.name: signal.level for signal in used}


def _style(memory: Memory) -> Style:
    return memory.style or Style()


def _next(
    policy: Policy,
    identity: str,
    audit_id: str,
    memory: Memory,
    turn: Turn,
    settled: Settled,
    signals: list[Listed],
    ts: float,
) -> Output:
    """The record of one more revision."""
    turn.parameters, turn.revision = settled.parameters, turn.revision + 1
    return _output(policy, identity, audit_id, memory, turn, settled.lineage, signals, ts)


def _output(
    policy: Policy,
    identity: str,
    audit_id: str,
    memory: Memory,
    turn: Turn,
    lineage: dict[str, Any],
    signals: list[Listed],
    ts: float,
) -> Output:
    suggested = risk_of(turn) >= policy.document.homeostat.review_from
    mode = turn.parameters["safety_mode"]
    ours = functions_of(turn.parameters["tool_allowlist"], policy) if turn.admitted else []
    theirs = application.functions_of(memory, turn, policy) if turn.admitted else []
    value = {
        "audit_id": audit_id,
        "identity": identity,
        "revision": turn.revision,
        "admitted": turn.admitted,
        "refusal": turn.refusal,
        "review": "required" if turn.refusal == holds.HELD else "suggested" if suggested else "none",
        "mode": mode,
        "parameters": turn.parameters,
        "prompt_style": mode,
        "signals": signals,
        "lineage": lineage,
        "policy": policy.digest,
        "ts": ts,
        "functions": [*ours, *theirs],
    }
    if turn.expires is not None:
        value["expires"] = turn.expires
    if turn.declared is not None:
        value["application_tools"] = [function["name"] for function in theirs]
    return Output(TARGET, identity, value)
