"""A turn that was admitted: its events up to the end, and the pure rules that hold for its text."""

import asyncio
import re
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from typing import Any

from endocrine.agents.moderation.local import Verdict, judge, judge_piece
from endocrine.agents.moderation.rules import JudgedText, ModerationRules, Preset
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.gateway.openai.port import ClosedTurn, TurnEvent, TurnHead
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai_port.rounds import Rounds, usage_of
from endocrine.pipeline.gateway.settings import GatewaySettings

_WAIT = re.compile(r"in ([0-9]{1,6}(?:\.[0-9]{1,3})?) s\b")
_LIMITED = "http_429"


class GatewayTurn:
    """See `openai.port.Turn`. ending: frees the registration, when the events end or nobody holds the turn any more.

    passed: called before calls of the application are passed on.
    """

    def __init__(
        self,
        head: TurnHead,
        rounds: Rounds,
        policy: Policy,
        limits: GatewaySettings,
        ending: ExitStack,
        passed: Callable[[], None],
    ) -> None:
        self.head = head
        self.enforce = not rounds.observed
        self.span = policy.document.moderation.longest_span("output")
        self._rounds, self._policy, self._limits, self._passed = rounds, policy, limits, passed
        self._found: Sequence[str] = ()
        """Categories of the latest text that was blocked."""
        self._free = weakref.finalize(self, ending.close)
        self._free.atexit = False

    def blocks(self, text: str) -> bool:
        """See Turn."""
        return self._blocked_by(judge, text)

    def blocks_piece(self, text: str) -> bool:
        """See Turn."""
        return self._blocked_by(judge_piece, text)

    def _blocked_by(self, judged: Callable[[str, JudgedText, Preset, ModerationRules], Verdict], text: str) -> bool:
        modulation, document = self._rounds.watch.modulation, self._policy.document
        style = document.defaults.safety_mode if modulation is None else modulation["prompt_style"]
        preset = getattr(document.prompt_styles, style).moderation_preset
        verdict = judged(text, "output", preset, document.moderation)
        if verdict.blocked:
            self._found = list(verdict.scores)
        return verdict.blocked

    def withheld(self) -> str:
        """See Turn."""
        sentence: str = self._policy.document.conversation.closings["output_blocked"]
        return sentence.replace("{reason}", ", ".join(self._found) or "unspecified")

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        """See Turn."""
        rounds, watch, audit_id = self._rounds, self._rounds.watch, self.head.audit_id
        deadline, undecided = time.monotonic() + self._limits.answer_s, float("inf")
        try:
            while True:
                news = list(rounds.news())
                if news and rounds.passed():
                    self._passed()
                for one in news:
                    yield one
                if watch.closed is not None:
                    yield closed_of(rounds, watch.closed.value)
                    return
                if watch.refused:
                    raise Refused("unknown_tool_call", audit_id=audit_id)
                undecided = self._undecided(undecided)
                try:
                    async with asyncio.timeout(max(0.0, min(deadline, undecided) - time.monotonic())):
                        await watch.change()
                except TimeoutError:
                    raise Refused("decision_timeout", audit_id=audit_id) from None
        finally:
            self._free()

    def _undecided(self, since: float) -> float:
        """When the latest reply's calls must be decided; a turn that waits for a person has until the end."""
        modulation = self._rounds.watch.modulation
        held = modulation is not None and modulation["refusal"] == "held"
        if held or not self._rounds.undecided():
            return float("inf")
        return min(since, time.monotonic() + self._limits.decision_s)


def closed_of(rounds: Rounds, value: dict[str, Any]) -> ClosedTurn:
    """Return the end of a turn, from its closing record and what else is known of it."""
    modulation, requests = rounds.watch.modulation or {}, rounds.requests()
    refused, wait = _provider_limit(rounds, value["finish"])
    return ClosedTurn(
        value["finish"],
        value["response"],
        usage_of(value.get("usage")),
        revision=modulation.get("revision"),
        mode=modulation.get("mode"),
        sent=requests[-1].value["parameters"] if requests else None,
        would=("denied",) if rounds.observed and rounds.denials() else (),
        refused=refused,
        retry_after_ms=wait,
    )


def _provider_limit(rounds: Rounds, finish: str) -> tuple[str | None, int | None]:
    """(code, milliseconds to wait) where the model's provider limits requests."""
    replies = rounds.replies()
    error = replies[-1][2].value.get("error") or "" if replies else ""
    if finish != "model_error" or not error.startswith(_LIMITED):
        return None, None
    wait = _WAIT.search(error)
    return "model_rate_limited", None if wait is None else int(float(wait[1]) * 1000)
