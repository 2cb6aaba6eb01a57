"""What must hold before users are let in, judged from the topics. Pure: records in, checks with sentences out."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal, NamedTuple

import orjson

from endocrine.agents.policy.parameters import PARAMETERS
from endocrine.pipeline.core.time_format import show_time

TOPICS = (
    "interactions", "modulations", "tool-decisions", "tool-results", "incidents", "audits", "model-replies",
    "ops-events",
)  # fmt: skip
"""Topics that are looked through, beside the dead letters."""
CRITICAL = frozenset({"agent_error", "inconsistent_modulation", "too_large_result", "unsealed", "unsealed_result"})
"""Kinds of dead letters that are faults of ours, or a stranger's try: one is too many. Others are bad input."""
_OTHERS = ("interactions", "tool-results", "ops-events")
"""Topics that applications and operators write: a result of a call that was not allowed counts, whoever reports it."""
SETTLE_S = 60.0
"""Seconds after its closing within which a turn need not have its bundle yet."""
_NAMED = 5
"""Ids that a sentence names."""
Status = Literal["passed", "failed", "not available"]


class Check(NamedTuple):
    """One thing that must hold."""

    name: str
    status: Status
    sentences: tuple[str, ...]
    figures: Mapping[str, Any] = {}


class Budget(NamedTuple):
    """What may be spent; None: not judged."""

    decision_p95_ms: float | None = None
    """From a turn's opening to its parameters, by the broker's append times."""
    model_p95_ms: float | None = None
    tokens_per_turn: float | None = None
    """Tokens of all replies of a turn, on average."""


@dataclass
class Evidence:
    """What was seen on the topics. ours: whether a record has a valid seal of ours; without keys, None: not asked."""

    ours: Callable[[str, Any], bool] | None = None
    turns: int = 0
    letters: Counter[str] = field(default_factory=Counter)
    incidents: Counter[str] = field(default_factory=Counter)
    policies: set[str] = field(default_factory=set)
    _opened: dict[str, float] = field(default_factory=dict)
    _closed: dict[str, float] = field(default_factory=dict)
    _decided: dict[str, float] = field(default_factory=dict)
    _replied_ms: list[float] = field(default_factory=list)
    _tokens: Counter[str] = field(default_factory=Counter)
    _revisions: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    _allowed: dict[tuple[str, str], Any] = field(default_factory=dict)
    _ran: set[tuple[str, str]] = field(default_factory=set)
    audited: list[str] = field(default_factory=list)
    _erasures: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By id of the erasure: how it ended last, and when (seconds since 1970)."""

    def letter(self, kind: str) -> None:
        """Count a dead letter that is open."""
        self.letters[kind] += 1

    def add(self, topic: str, raw: Any) -> None:
        """Take one record; what is not JSON or not ours is left out, as our agents leave it out."""
        foreign = topic not in _OTHERS and self.ours is not None and not self.ours(topic, raw)
        if raw.value is None or foreign:
            return
        try:
            value = orjson.loads(raw.value)
            getattr(self, "_" + topic.replace("-", "_"))(value, raw.timestamp)
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def _interactions(self, value: dict[str, Any], at: float) -> None:
        if value["kind"] == "opened":
            self._opened.setdefault(value["audit_id"], at)
        elif value["kind"] == "closed":
            self._closed.setdefault(value["audit_id"], at / 1000)

    def _modulations(self, value: dict[str, Any], at: float) -> None:
        self.policies.add(value["policy"])
        kept = {name: value[name] for name in ("parameters", "signals", "lineage", "policy")}
        self._revisions[value["audit_id"]].setdefault(value["revision"], kept)
        if value["revision"] == 0:
            self.turns += 1
            self._decided.setdefault(value["audit_id"], at)

    def _tool_decisions(self, value: dict[str, Any], at: float) -> None:
        if value["decision"] == "allowed":
            self._allowed[value["audit_id"], value["call_id"]] = value["tool"]

    def _tool_results(self, value: dict[str, Any], at: float) -> None:
        if value["status"] == "ok":
            self._ran.add((value["audit_id"], value["call_id"]))

    def _incidents(self, value: dict[str, Any], at: float) -> None:
        self.incidents[value["kind"]] += 1

    def _audits(self, value: dict[str, Any], at: float) -> None:
        if value["status"] != "supplement":
            self.audited.append(value["audit_id"])

    def _ops_events(self, value: dict[str, Any], at: float) -> None:
        if value["kind"] == "erasure":
            self._erasures[value["report"]["erasure_id"]] = value["outcome"], at / 1000

    def _model_replies(self, value: dict[str, Any], at: float) -> None:
        self._replied_ms.append(float(value["latency_ms"]))
        if value.get("usage"):
            self._tokens[value["audit_id"]] += sum(
                count for name, count in value["usage"].items() if name in ("input_tokens", "output_tokens")
            )

    # ---- what follows ----

    def errors(self, critical_incidents: Sequence[str] = ()) -> Check:
        """Check that there is no critical dead letter or incident, and that nothing ran that was not allowed."""
        letters = {kind: count for kind, count in self.letters.items() if kind in CRITICAL}
        incidents = {kind: self.incidents[kind] for kind in critical_incidents if self.incidents[kind]}
        unallowed = sorted(call for call in self._ran if call not in self._allowed and call[0] in self._opened)
        outside = sorted(call for call, tool in self._allowed.items() if tool and not self._listed(call[0], tool))
        found = [
            *(f"{count} dead letters of the kind {kind}" for kind, count in letters.items()),
            *(f"{count} incidents of the kind {kind}" for kind, count in incidents.items()),
            *_named("calls ran that were never allowed", [f"{audit}/{call}" for audit, call in unallowed]),
            *_named(
                "calls were allowed of a tool on no allowlist of their turn", [f"{one}/{call}" for one, call in outside]
            ),
        ]
        plain = sum(self.letters.values()) - sum(letters.values())
        others = f"{plain} dead letters of bad input, {sum(self.incidents.values())} incidents: not counted against it"
        good = ("No critical error.", others)
        figures = {"dead_letters": dict(self.letters), "incidents": dict(self.incidents)}
        return _check("errors", found, good, figures)

    def erasure(self) -> Check:
        """Check that erasures ended well, by their receipts; not available where none was made."""
        if not self._erasures:
            advice = "None was made in this time: erase a subject made for trying (`endocrine erase ID --yes`)"
            return Check("erasure", "not available", (f"{advice} before you promise it to people.",))
        ill = [
            f"erasure {one} is {outcome}: run it again"
            for one, (outcome, _) in self._erasures.items()
            if outcome != "done"
        ]
        last = show_time(max(at for _, at in self._erasures.values()))
        good = (f"{len(self._erasures)} subjects were erased, the last at {last}; the receipts date what is left.",)
        return _check("erasure", ill, good, {"erasures": len(self._erasures)})

    def _listed(self, audit_id: str, tool: str) -> bool:
        revisions = self._revisions.get(audit_id)
        return not revisions or any(tool in one["parameters"]["tool_allowlist"] for one in revisions.values())

    def tightening(self, refused: Mapping[str, str]) -> Check:
        """Check that a turn never loosens by itself, and that every policy tightens as alignment risk rises.

        refused: policies in force that this code refuses, by digest, with the reason.
        """
        loosened = [
            f"{audit_id} revision {number} ({name})"
            for audit_id, revisions in self._revisions.items()
            for number in sorted(revisions)
            if number - 1 in revisions
            for name in _loosened(revisions[number - 1], revisions[number])
        ]
        found = [
            *_named("revisions loosen a parameter of safety", loosened),
            *(f"policy {digest[:16]} is refused: {why}" for digest, why in refused.items()),
        ]
        revisions = sum(map(len, self._revisions.values()))
        good = (
            f"Tightening is right: {revisions} revisions of {len(self._revisions)} turns never loosen by themselves, "
            f"and {len(self.policies)} policies tighten as alignment risk rises.",
        )
        return _check("tightening", found, good, {"revisions": revisions, "policies": sorted(self.policies)})

    def audits(self, now: float, unrendered: Sequence[str], rendered: int, chain: Sequence[str]) -> Check:
        """Check that closed turns have bundles, bundles render, and the chains hold. now: seconds since 1970."""
        known = set(self.audited)
        due = [one for one, at in self._closed.items() if at < now - SETTLE_S and one in self._revisions]
        found = [
            *_named("closed turns have no bundle", [one for one in due if one not in known]),
            *_named("bundles cannot be rendered", list(unrendered)),
            *_named("breaks of the audit chain", list(chain)),
        ]
        good = (f"Audits render and verify: {len(known)} bundles, {rendered} of them rendered, all chains hold.",)
        return _check("audits", found, good, {"bundles": len(known), "rendered": rendered})

    def within(self, budget: Budget) -> Check:
        """Check that latency and tokens are within the budget."""
        tokens = sum(self._tokens.values()) / len(self._tokens) if self._tokens else 0.0
        figures = {
            "decision_p95_ms": _p95(
                [at - self._opened[one] for one, at in self._decided.items() if one in self._opened]
            ),
            "model_p95_ms": _p95(self._replied_ms),
            "tokens_per_turn": tokens,
        }
        shown = {"decision_p95_ms": "ms until a decision", "model_p95_ms": "ms until a reply of a model"}
        found = [
            f"{figures[name]:.1f} {shown.get(name, 'tokens a turn')}, more than {most:g}"
            for name, most in budget._asdict().items()
            if most is not None and figures[name] > most
        ]
        listed = ", ".join(f"{value:.1f} {shown.get(name, 'tokens a turn')}" for name, value in figures.items())
        unjudged = [name for name, most in budget._asdict().items() if most is None]
        note = f" Not judged, for no budget is given: {', '.join(unjudged)}." if unjudged else ""
        return _check("budget", found, (f"Within the budget (95th percentiles): {listed}.{note}",), figures)


def _loosened(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Parameters that a revision loosens though no person cleared a risk or approved something."""
    if any(signal["fate"] == "cleared" for signal in after["signals"]):
        return []
    return [
        name
        for name, parameter in PARAMETERS.items()
        if parameter.loosens(before["parameters"][name], after["parameters"][name])
        and not any(step["step"] == "approve" for step in after["lineage"].get(name, ()))
    ]


def _named(what: str, ids: Sequence[str]) -> list[str]:
    if not ids:
        return []
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return [f"{len(ids)} {what}: {', '.join(ids[:_NAMED])}{more}"]


def _check(name: str, found: Sequence[str], good: tuple[str, ...], figures: Mapping[str, Any]) -> Check:
    return Check(name, "failed" if found else "passed", tuple(found) or good, figures)


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[ceil(0.95 * len(values)) - 1] if values else 0.0
