"""A working copy of what is remembered, and the records that are said, while one record is thought about."""

from typing import TYPE_CHECKING, Any

from endocrine.agents._shared.clock import forward
from endocrine.agents._shared.prompt_keys import prompt_hmac
from endocrine.agents._shared.summaries import base_id
from endocrine.agents.contract import Output, Trigger, output_id
from endocrine.agents.conversation import application, budget
from endocrine.agents.conversation.memory import Json, chars_of, remembered, without
from endocrine.agents.moderation.rules import Preset

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

NAME = "conversation"
ANSWERED = ("answered", "cut")


class TurnContext:
    """One think. Turns taken from it are copies: change them, then `put` or `close` them."""

    def __init__(self, memory: Json, trigger: Trigger, policy: "Policy") -> None:
        self.before = memory
        self.memory = dict(memory)
        self.trigger = trigger
        self.policy = policy
        self.rules = policy.document.conversation
        self.now: float = forward(memory["now"], trigger.value.ts)
        """The clock of the identity: event time of the latest record so far; it never goes back."""
        self.outputs: list[Output] = []

    @property
    def changed(self) -> bool:
        """Whether there is anything new to remember."""
        return self.memory != self.before

    def say(self, topic: str, value: Json) -> None:
        """One more record of this identity."""
        self.outputs.append(Output(topic, self.trigger.identity, value))

    def turn(self, audit_id: str) -> Json | None:
        """A copy of an open turn of ours."""
        turn = self.memory["turns"].get(audit_id)
        return None if turn is None else dict(turn)

    def put(self, audit_id: str, turn: Json) -> None:
        """Remember a turn as it is now."""
        self.memory["turns"] = {**self.memory["turns"], audit_id: turn}

    def is_open(self, audit_id: str) -> bool:
        """Whether a turn of ours has not ended."""
        return audit_id in self.memory["turns"]

    def after(self, wait_ms: int) -> float:
        """Event time so many milliseconds from now."""
        return self.now + wait_ms / 1000

    def room(self) -> budget.Room:
        """What the budget leaves now."""
        rules = self.policy.document.budget
        self.memory["budget"] = budget.rolled(self.memory["budget"], self.now, rules)
        return budget.room(self.memory["budget"], rules)

    def hold(self, tokens: int) -> None:
        """Set tokens aside."""
        self.memory["budget"] = budget.hold(self.memory["budget"], tokens)

    def settle(self, held: int, used: int | None) -> None:
        """Spend what a request used of what it held; None: all of it."""
        self.memory["budget"] = budget.settle(self.memory["budget"], held, used)

    def preset(self, turn: Json) -> Preset:
        """How strictly this turn's texts are judged; before its modulation, as its defaults would have it."""
        mode = turn["force"]["style"] if turn["force"] is not None else self.policy.document.defaults.safety_mode
        preset: Preset = getattr(self.policy.document.prompt_styles, mode).moderation_preset
        return preset

    def incident(self, kind: str, audit_id: str, turn: Json, reason: str, score: float) -> None:
        """Say that something may need a person; the homeostat raises alignment_risk from it."""
        force, defaults = turn["force"], self.policy.document.defaults
        parameters = None if force is None else force["parameters"]
        snapshot = {
            "allowlist": list(defaults.tool_allowlist) if parameters is None else parameters["tool_allowlist"],
            "mode": defaults.safety_mode if force is None else force["mode"],
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
        self.say("incidents", value)

    def close(self, audit_id: str, turn: Json, finish: str, text: str = "") -> None:
        """End a turn: its one `closed` record. text: the answer, or the reason that its closing sentence names."""
        answered = finish in ANSWERED
        response = text if answered else self.rules.closings[finish].replace("{reason}", text or "unspecified")
        asked = any(turn["usage"]) or turn["step"] > 0
        strength = turn["force"]["parameters"]["memory_write"] if answered else 0.0
        value = {
            "kind": "closed",
            "audit_id": audit_id,
            "identity": self.trigger.identity,
            "response": response,
            "response_summary": " ".join(response.split())[: self.rules.limits.summary_chars],
            "memories_used": None,
            "chunks_used": [source for source, _ in turn["snippets"]] or None,
            "reinforce": None,
            "usage": {"input_tokens": turn["usage"][0], "output_tokens": turn["usage"][1]} if asked else None,
            "memory_write": strength,
            "finish": finish,
        }
        given = application.of(turn)
        if application.observed(turn):
            value["enforce"] = False
        if given.get("door") is not None:
            value["door"] = given["door"]
        value["ts"] = self.now
        if answered and not given.get("messages"):  # who gives the conversation remembers it
            memory, limits = self.memory, self.rules.limits
            memory["serial"] += 1
            memory["sessions"] = remembered(
                memory["sessions"], turn["session"], memory["serial"], turn["prompt"], response, limits
            )
        self.retire(audit_id, turn)
        self.say("interactions", value)

    def grow(self, turn: Json, chars: int) -> None:
        """Give a turn with functions of its application room for so many characters, as far as there is any."""
        given, limits = turn.get("application"), self.rules.limits
        lacking = chars - turn["room"]
        if given is None or lacking <= 0:
            return
        held = sum(chars_of(other, limits) for other in self.memory["turns"].values())
        most = limits.application_exchange_chars - limits.exchange_chars - given["granted"]
        more = max(0, min(lacking, limits.open_chars - held, most))
        turn["application"] = {**given, "granted": given["granted"] + more}
        turn["room"] += more

    def retire(self, audit_id: str, turn: Json | None) -> None:
        """Forget a turn; what it holds of the budget without a reply counts as spent."""
        if turn is not None:
            for request in [turn["request"], *turn["judges"].values()]:
                if request is not None:
                    self.settle(request["held"], None)
        self.memory["turns"] = without(self.memory["turns"], audit_id)
        self.memory["closed"] = [*self.memory["closed"], audit_id][-self.rules.limits.closed_turns :]

    def base(self, audit_id: str) -> str:
        """What our ids of a turn begin with. Read from their end, no two turns' ids can be the same."""
        return base_id(audit_id)


def usage_of(reply: Any) -> int | None:
    """Tokens a reply says it cost; None where it does not say."""
    return None if reply.usage is None else reply.usage.input_tokens + reply.usage.output_tokens
