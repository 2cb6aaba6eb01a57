"""Feedback: cards become a style table, and an alarm where they pull against safety (rules, section 3).

- Each card gives one `style-tables` record; a card whose id is among those kept gives nothing.
- More than N diverging cards within the window lock the identity: the incident `drift_lock` comes first, then the table
  with `locked: true`. The lock holds until an operator's `release_lock`, which forgets the diverging cards.
- A card for an unknown turn counts like any other and is counted in `unknown_actions`; it cannot diverge.
- A card's note is moderated by the local rules. A flagged one gives an incident `moderation` that names categories and
  rules, never a word of the note; it belongs to no turn (`audit_id` null), so no signal is raised from it and no card
  diverges by it. No note is kept or carried on, so a blocked one is used for nothing; the rating counts all the same.
- Nothing else leaves: feedback reaches no mode, no allowlist, and no signal.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from endocrine.agents._shared.clock import forward
from endocrine.agents.contract import Output, State, Trigger, output_id
from endocrine.agents.feedback import memory
from endocrine.agents.feedback.drift import alarm, diverges
from endocrine.agents.feedback.memory import Card, DivergingCard, FeedbackState, Row, Turn
from endocrine.agents.feedback.rules import Drift
from endocrine.agents.feedback.style import count_intents, nudges, sum_intents
from endocrine.agents.moderation.local import judge
from endocrine.schemas.commands import ReleaseLock
from endocrine.schemas.feedback import FeedbackCard

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

NAME = "feedback"


@dataclass(frozen=True)
class Feedback:
    """State key: the identity. State: `FeedbackState`."""

    name: str = NAME
    sources: tuple[str, ...] = ("modulations", "incidents", "feedback", "commands")
    targets: tuple[str, ...] = ("style-tables", "incidents")

    def key(self, trigger: Trigger) -> str:
        """Return one key per identity."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process one record; rejects nothing."""
        known: FeedbackState = {**memory.EMPTY} if state is None else state
        if trigger.topic == "feedback":
            return _card(known, trigger, policy)
        if trigger.topic == "commands":
            return (state, []) if not isinstance(trigger.value, ReleaseLock) else _release(state, trigger, policy)
        apply = memory.with_modulation if trigger.topic == "modulations" else memory.with_incident
        turns = apply(known["turns"], trigger.value, policy.document.feedback.turns_kept)
        return (state if turns is known["turns"] else {**known, "turns": turns}), []


AGENT = Feedback()


def _card(state: FeedbackState, trigger: Trigger, policy: "Policy") -> tuple[FeedbackState, list[Output]]:
    rules = policy.document.feedback
    card: FeedbackCard = trigger.value
    key = memory.card_key(trigger.id)
    seen = {Card(*row).key for row in state["cards"]} | {DivergingCard(*row).key for row in state["diverging"]}
    if key in seen:
        return state, []
    turn = state["turns"].get(card.target_action_id)
    row = list(Card(card.ts, key, card.rating, turn is not None, count_intents(card.symbols or ())))
    clock = forward(state.get("clock"), card.ts)
    state = {**state, "cards": memory.insert(state["cards"], row, rules.cards_kept), "clock": clock}
    outputs: list[Output] = []
    if turn is not None and diverges(card.rating, turn["mode"], turn["incident"], rules.drift):
        diverging = memory.insert(state["diverging"], list(DivergingCard(card.ts, key, clock)), rules.drift.cards_kept)
        state = {**state, "diverging": diverging}
        if not state["locked"] and _drifts(diverging, rules.drift):
            state = {**state, "locked": True}
            outputs.append(_incident(card, turn, trigger, policy))
    outputs += _moderated(card, turn, trigger, len(outputs), policy)
    return state, [*outputs, style_table(state, trigger, policy)]


def _drifts(diverging: list[Row], rules: Drift) -> bool:
    """Whether too many cards lie within one window, by their own times or by the clock, which never goes back: stepping
    through the past is no way around the alarm."""
    cards = [DivergingCard(*row) for row in diverging]
    clocks = sorted(card.ts if card.clock is None else card.clock for card in cards)
    return alarm([card.ts for card in cards], rules) or alarm(clocks, rules)


def _release(
    state: FeedbackState | None, trigger: Trigger, policy: "Policy"
) -> tuple[FeedbackState | None, list[Output]]:
    if state is None or trigger.id in state["releases"]:
        return state, []
    releases = [*state["releases"], trigger.id][-policy.document.feedback.commands_remembered :]
    if not state["locked"]:
        return {**state, "releases": releases}, []
    state = {**state, "diverging": [], "locked": False, "releases": releases}
    return state, [style_table(state, trigger, policy)]


def _incident(card: FeedbackCard, turn: Turn, trigger: Trigger, policy: "Policy") -> Output:
    incident = {
        "incident_id": output_id(NAME, trigger, 0),
        "kind": "drift_lock",
        "audit_id": card.target_action_id,
        "identity": trigger.identity,
        "attempted": None,
        "reason": "diverging_feedback",
        "params_snapshot": {"allowlist": turn["allowlist"], "mode": turn["mode"]},
        "prompt_hmac": None,
        "policy": policy.digest,
        "ts": card.ts,
    }
    return Output("incidents", trigger.identity, incident)


def _moderated(card: FeedbackCard, turn: Turn | None, trigger: Trigger, ordinal: int, policy: "Policy") -> list[Output]:
    """The incident of a flagged note, if it is one. Judged as strictly as its turn's texts; of an unknown turn, as the
    policy's defaults would have it."""
    if not card.note:
        return []
    defaults = policy.document.defaults
    mode = defaults.safety_mode if turn is None else turn["mode"]
    preset = getattr(policy.document.prompt_styles, mode).moderation_preset
    verdict = judge(card.note, "note", preset, policy.document.moderation)
    if not verdict.flagged:
        return []
    incident = {
        "incident_id": output_id(NAME, trigger, ordinal),
        "kind": "moderation",
        "audit_id": None,  # of no turn: see above
        "identity": trigger.identity,
        "attempted": None,
        "reason": f"feedback note {'blocked' if verdict.blocked else 'flagged'}: {verdict.reason()}",
        "params_snapshot": {
            "allowlist": list(defaults.tool_allowlist) if turn is None else turn["allowlist"],
            "mode": mode,
        },
        "prompt_hmac": None,
        "policy": policy.digest,
        "ts": card.ts,
        "rule": None,
        "score": verdict.score,
    }
    return [Output("incidents", trigger.identity, incident)]


def style_table(state: FeedbackState, trigger: Trigger, policy: "Policy") -> Output:
    """Return the style table of a state, dated by the trigger."""
    cards = [Card(*row) for row in state["cards"]]
    table = {
        "identity": trigger.identity,
        **nudges([card.rating for card in reversed(cards)], policy.document.feedback)._asdict(),
        "cards": len(cards),
        "intents": sum_intents([card.intents for card in cards]),
        "locked": state["locked"],
        "unknown_actions": sum(not card.known for card in cards),
        "ts": trigger.value.ts,
    }
    return Output("style-tables", trigger.identity, table)
