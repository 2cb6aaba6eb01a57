"""A working copy of the state, and the records that are produced, while one record is processed."""

from typing import TYPE_CHECKING

from endocrine.agents._shared.clock import forward
from endocrine.agents._shared.prompt_keys import prompt_hmac
from endocrine.agents._shared.summaries import base_id
from endocrine.agents.contract import Output, Trigger, output_id
from endocrine.agents.conversation import application, budget
from endocrine.agents.conversation.memory import chars_of, in_force, with_entry, without
from endocrine.agents.conversation.state import Answered, ConversationState, Json, Turn
from endocrine.agents.moderation.rules import Preset
from endocrine.schemas.models import ModelReply

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

NAME = "conversation"
ANSWERED = ("answered", "cut")


class TurnContext:
    """One call of `process`. Turns taken from it are copies: change them, then `put` or `close` them."""

    def __init__(self, state: ConversationState, trigger: Trigger, policy: "Policy") -> None:
        self.before = state
        self.state: ConversationState = {**state}
        self.trigger = trigger
        self.policy = policy
        self.rules = policy.document.conversation
        self.now: float = forward(state["now"], trigger.value.ts)
        """The clock of the identity: event time of the latest record so far; it never goes back."""
        self.outputs: list[Output] = []

    @property
    def changed(self) -> bool:
        """Return whether the state has changed."""
        return self.state != self.before

    def produce(self, topic: str, value: Json) -> None:
        """Add a record of this identity to the outputs."""
        self.outputs.append(Output(topic, self.trigger.identity, value))

    def turn(self, audit_id: str) -> Turn | None:
        """Return a copy of an open turn of ours."""
        turn = self.state["turns"].get(audit_id)
        return None if turn is None else {**turn}

    def put(self, audit_id: str, turn: Turn) -> None:
        """Keep a turn as it is now."""
        self.state["turns"] = {**self.state["turns"], audit_id: turn}

    def is_open(self, audit_id: str) -> bool:
        """Return whether a turn of ours has not ended."""
        return audit_id in self.state["turns"]

    def after(self, wait_ms: int) -> float:
        """Return the event time so many milliseconds from now, seconds."""
        return self.now + wait_ms / 1000

    def tokens_left(self) -> budget.TokensLeft:
        """Return what the budget leaves now."""
        rules = self.policy.document.budget
        self.state["budget"] = budget.rolled(self.state["budget"], self.now, rules)
        return budget.tokens_left(self.state["budget"], rules)

    def reserve(self, tokens: int) -> None:
        """Reserve tokens of the budget."""
        self.state["budget"] = budget.reserve(self.state["budget"], tokens)

    def settle(self, held: int, used: int | None) -> None:
        """Spend what a request used of what it reserved; None: all of it."""
        self.state["budget"] = budget.settle(self.state["budget"], held, used)

    def preset(self, turn: Turn) -> Preset:
        """Return how strictly this turn's texts are judged; before its modulation, as its defaults would have it."""
        effective = turn["force"]
        mode = effective["style"] if effective is not None else self.policy.document.defaults.safety_mode
        preset: Preset = getattr(self.policy.document.prompt_styles, mode).moderation_preset
        return preset

    def incident(self, kind: str, audit_id: str, turn: Turn, reason: str, score: float) -> None:
        """Report that something may need a person; the homeostat raises alignment_risk from it."""
        effective, defaults = turn["force"], self.policy.document.defaults
        parameters = None if effective is None else effective["parameters"]
        snapshot = {
            "allowlist": list(defaults.tool_allowlist) if parameters is None else parameters["tool_allowlist"],
            "mode": defaults.safety_mode if effective is None else effective["mode"],
        }
        value = {
            "incident_id": output_id(NAME, self.trigger, len(self.outputs)),
            "kind": kind,
            "audit_id": audit_id,
            "identity": self.trigger.identity,
            "attempted": None,
            "reason": reason,
            "params_snapshot": snapshot,
            "prompt_hmac": prompt_hmac(turn["prompt"], self.policy),
            "policy": self.policy.digest,
            "ts": self.now,
            "rule": None,
            "score": score,
        }
        self.produce("incidents", value)

    def close(self, audit_id: str, turn: Turn, finish: str, text: str = "") -> None:
        """End a turn: its one `closed` record. text: the answer, or the reason that its closing sentence names."""
        answered = finish in ANSWERED
        response = text if answered else self.rules.closings[finish].replace("{reason}", text or "unspecified")
        asked = any(turn["usage"]) or turn["step"] > 0
        used = turn.get("used") or {"memories": [], "chunks": []}
        strength = in_force(turn)["parameters"]["memory_write"] if answered else 0.0
        value: Json = {
            "kind": "closed",
            "audit_id": audit_id,
            "identity": self.trigger.identity,
            "response": response,
            "response_summary": " ".join(response.split())[: self.rules.limits.summary_chars],
            "memories_used": used["memories"] or None,
            "chunks_used": [*used["chunks"], *(source for source, _ in turn["snippets"])] or None,
            "reinforce": None,
            "usage": {"input_tokens": turn["usage"][0], "output_tokens": turn["usage"][1]} if asked else None,
            "memory_write": strength,
            "finish": finish,
        }
        given = turn.get("application")
        if application.observed(turn):
            value["enforce"] = False
        if given is not None and given["door"] is not None:
            value["door"] = given["door"]
        value["ts"] = self.now
        if answered and not application.messages_of(turn):  # who gives the conversation keeps it
            state = self.state
            state["serial"] += 1
            entry = Answered(state["serial"], turn["prompt"], response)
            state["sessions"] = with_entry(state["sessions"], turn["session"], entry, self.rules.limits)
        self.retire(audit_id, turn)
        self.produce("interactions", value)

    def grow(self, turn: Turn, chars: int) -> None:
        """Give a turn with functions of its application characters for outputs, as far as the bounds leave any."""
        given, limits = turn.get("application"), self.rules.limits
        lacking = chars - turn["room"]
        if given is None or lacking <= 0:
            return
        taken = sum(chars_of(other, limits) for other in self.state["turns"].values())
        most = limits.application_exchange_chars - limits.exchange_chars - given["granted"]
        more = max(0, min(lacking, limits.open_chars - taken, most))
        turn["application"] = {**given, "granted": given["granted"] + more}
        turn["room"] += more

    def retire(self, audit_id: str, turn: Turn | None) -> None:
        """Forget a turn; what it reserved of the budget without a reply counts as spent."""
        if turn is not None:
            for request in [turn["request"], *turn["judges"].values()]:
                if request is not None:
                    self.settle(request["held"], None)
        self.state["turns"] = without(self.state["turns"], audit_id)
        self.state["closed"] = [*self.state["closed"], audit_id][-self.rules.limits.closed_turns :]

    def base(self, audit_id: str) -> str:
        """Return what our ids of a turn begin with. Read from their end, no two turns' ids can be the same."""
        return base_id(audit_id)


def usage_of(reply: ModelReply) -> int | None:
    """Return the tokens that a reply reports; None where it reports none."""
    return None if reply.usage is None else reply.usage.input_tokens + reply.usage.output_tokens
