"""The linkage agent: hints and operators' commands in, the link of each pair of identities out (memory, section 9).

- A link is a statement about two identities, never a merge: advice for people, which can be taken back, and is a source
  of no decision about a turn.
- Its score is that of the kinds of evidence that count, when it is looked at: at a hint or a command. Evidence older
  than `linkage.evidence_days` then, or common, does not count. A pair of which all is common from the start is no link.
- From `linkage.propose_from` on it is proposed, once; below it is observed again. Only operators apply it, reverse
  that, or dismiss it; a dismissed link comes back when a new kind of evidence does. An applied one whose score falls
  stays applied, `weakened`.
- A command that changes nothing has an event all the same: `unchanged`, or `refused` with the reason. Commands name the
  identity that sorts first as `identity`: the pair lies on its partition.
- Outputs: the events, then the link where it changed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from endocrine.agents._shared.subjects import finer
from endocrine.agents.canonical import canonical_json
from endocrine.agents.contract import Output, State, Trigger
from endocrine.agents.linkage.link import BY, Link, empty_pair, settled
from endocrine.agents.linkage.pair import PairState, judged, with_hint
from endocrine.schemas.commands import LinkApply, LinkDismiss, LinkReverse
from endocrine.schemas.linkage import Hint
from endocrine.schemas.vocabulary import LinkEventKind, LinkRefusal

if TYPE_CHECKING:
    from endocrine.agents.linkage.rules import LinkageRules
    from endocrine.agents.policy.compiled import Policy

_COMMANDS = LinkApply | LinkReverse | LinkDismiss


@dataclass(frozen=True)
class LinkageAgent:
    """See the module's docstring. State key: the first identity and the pair. State: `PairState`."""

    name: str = "linkage"
    sources: tuple[str, ...] = ("link-hints", "commands")
    targets: tuple[str, ...] = ("link-events", "identity-links")

    def key(self, trigger: Trigger) -> str:
        """Return a key below the first identity: the pair as canonical JSON, as names hold any character. Other
        commands lie under a key that never has a state."""
        value = trigger.value
        if isinstance(value, Hint):
            return finer(value.a, _pair(value.a, value.b))
        if isinstance(value, _COMMANDS):
            return finer(trigger.identity, _pair(trigger.identity, value.b))
        return finer(trigger.identity, "")

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a record. Never raises Reject: what cannot be done is an event."""
        known: PairState | None = state
        rules, value = policy.document.linkage, trigger.value
        if isinstance(value, Hint):
            return _hinted(known, value, rules)
        if isinstance(value, _COMMANDS):
            return _commanded(known, trigger, value, rules)
        return state, []


AGENT = LinkageAgent()


def _pair(a: str, b: str) -> str:
    return canonical_json([a, b]).decode()


def _hinted(known: PairState | None, hint: Hint, rules: "LinkageRules") -> tuple[State, list[Output]]:
    if hint.kind not in rules.kinds:
        return known, []
    before = empty_pair(hint.ts) if known is None else known
    after = with_hint(before, hint, rules)
    new = not before["listed"]
    if new and hint.common:
        return after, []  # no link yet; kept, as another token may see fewer holders
    after = {**after, "listed": True}
    link = Link(hint.a, hint.b, after, judged(after, rules), BY, after["clock"])
    events = [link.event("observed", None)] if new else []
    events += settled(link, rules)
    changed = new or events or judged(before, rules) != link.judged or before["capped"] != after["capped"]
    return link.state, [*events, link.record()] if changed else []


def _commanded(
    known: PairState | None, trigger: Trigger, command: LinkApply | LinkReverse | LinkDismiss, rules: "LinkageRules"
) -> tuple[State, list[Output]]:
    a, b = trigger.identity, command.b
    if known is None or not known["listed"]:
        nothing = empty_pair(command.ts)
        link = Link(a, b, nothing, judged(nothing, rules), command.by, command.ts, command.reason)
        return known, [link.event("refused", None, "unknown_link" if a < b else "not_sorted")]
    before: PairState = {**known, "clock": max(known["clock"], command.ts)}
    link = Link(a, b, before, judged(before, rules), command.by, before["clock"], command.reason)
    aged = settled(link, rules)  # what time alone changed
    old = link.state["status"]
    refusal = _refusal(link, command, rules)
    if refusal is not None:
        event = link.event("refused", old, refusal)
    elif isinstance(command, LinkApply):
        event = _moved(link, old, "applied", "applied", dismissed=None)
    elif isinstance(command, LinkReverse):
        event = _moved(link, old, "reversed", "observed", weakened=False, dismissed=None)
    else:
        event = _moved(link, old, "dismissed", "dismissed", dismissed=sorted(link.judged.kinds))
    changed = aged or event.value["kind"] not in ("refused", "unchanged") or judged(known, rules) != link.judged
    # The command's own event is the first: doors wait for it.
    return link.state, [event, *aged, link.record()] if changed else [event]


def _refusal(link: Link, command: LinkApply | LinkReverse | LinkDismiss, rules: "LinkageRules") -> LinkRefusal | None:
    status = link.state["status"]
    if isinstance(command, LinkApply):
        return "below_threshold" if status != "applied" and link.judged.score < rules.propose_from else None
    if isinstance(command, LinkReverse):
        return None if status == "applied" else "not_applied"
    return "applied" if status == "applied" else None


def _moved(link: Link, old: str, kind: LinkEventKind, status: Any, **more: Any) -> Output:
    if old == status:
        return link.event("unchanged", old)
    link.state = cast(PairState, {**link.state, "status": status, "by": link.by, **more})
    return link.event(kind, old)
