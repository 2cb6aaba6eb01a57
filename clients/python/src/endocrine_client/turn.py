"""One turn: its modulation now, what is decided in it, and how it closes. What both clients share."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from endocrine_client.calls import ToolCall, usage_of
from endocrine_client.delivery import Delivery
from endocrine_client.flows import Asked, Flow, asking, opening
from endocrine_client.parameters import Functions, Parameters
from endocrine_client.protocol import UNAVAILABLE, Decision, Modulation, Request, decided, request, undecided

MOST_RESPONSE = 50_000
"""Characters of an answer that are recorded; the rest is cut, and the record says so."""
_CUT = "\n\n[truncated]"


class TurnState:
    """A turn. Not made by an application: `endocrine.turn(...)` makes it.

    `answer` may be called at any time; what is set when the block ends is recorded. Without one the turn is closed as
    abandoned.
    """

    def __init__(self, delivery: Delivery, opened: Mapping[str, Any], open_s: float, decision_s: float) -> None:
        self._delivery = delivery
        self._open_s, self._decision_s = open_s, decision_s
        self.audit_id: str = opened.get("audit_id") or f"turn-{uuid.uuid4().hex}"
        """Id of the turn: `endocrine explain AUDIT_ID` says why it was as it was."""
        self.identity: str = opened["identity"]
        self.modulation: Modulation = UNAVAILABLE
        """The latest revision that is known."""
        self._opening = {"session_id": self.audit_id, "turn": 0} | {
            name: value for name, value in opened.items() if value is not None
        }
        self._recorded = False
        self._asked: dict[str, tuple[ToolCall, Request]] = {}
        self._closing: dict[str, Any] | None = None

    @property
    def parameters(self) -> Parameters:
        """How to call the model now."""
        return self.modulation.parameters

    @property
    def functions(self) -> Functions:
        """The tools that may be offered to the model now."""
        return self.modulation.functions

    @property
    def mode(self) -> str:
        """Safety mode: strict, balanced or creative."""
        return self.modulation.mode

    def answer(
        self,
        text: str,
        *,
        usage: Any = None,
        summary: str | None = None,
        memories_used: list[Any] | None = None,
        chunks_used: list[Any] | None = None,
        reinforce: bool | None = None,
    ) -> None:
        """Set what the user got; it is recorded when the turn's block ends. Never raises.

        usage: tokens, as the provider's library gives them, or `input_tokens` and `output_tokens`.
        """
        whole = str(text)
        self._closing = {
            "response": whole if len(whole) <= MOST_RESPONSE else whole[:MOST_RESPONSE] + _CUT,
            "usage": None if usage is None else usage_of(usage),
            "response_summary": summary,
            "memories_used": memories_used,
            "chunks_used": chunks_used,
            "reinforce": reinforce,
        }

    def _open(self) -> Flow[None]:
        try:
            asked = request("/v1/turns", _given(self._opening) | {"audit_id": self.audit_id, "ts": time.time()})
        except Exception as error:
            self._delivery.unusable("/v1/turns", error)
            return
        self.modulation, self._recorded = yield from opening(self._delivery, asked, self.audit_id, self._open_s)

    def _decide(self, call: Any, step: int) -> Flow[Decision]:
        try:
            wanted = ToolCall.of(call)
            asked = self._request_of(wanted, step)
        except (TypeError, ValueError, RecursionError) as error:
            raise undecided(f"the call cannot be asked about: {error}", self.audit_id, None) from error
        if not self._recorded:
            raise undecided("the turn is not on record", self.audit_id, wanted.call_id)
        outcome = yield from asking(self._delivery, asked, wanted, self.audit_id, self._decision_s)
        self._revise(outcome)
        return decided(outcome.answer, wanted, self.audit_id)

    def _request_of(self, call: ToolCall, step: int) -> Request:
        """The request of a call; one that is asked again keeps its id and time."""
        known = self._asked.get(call.call_id)
        if known is not None and known[0] == call:
            return known[1]
        value = {"identity": self.identity, "audit_id": self.audit_id, "call_id": call.call_id, "tool": call.function,
                 "arguments": call.arguments, "step": step, "ts": time.time()}  # fmt: skip
        asked = request("/v1/tool-calls", value)
        self._asked[call.call_id] = call, asked
        return asked

    def _revise(self, asked: Asked) -> None:
        """Take the later revision. One that the decision names and that did not come with it: strict defaults."""
        known, named = self.modulation.revision or 0, asked.answer.value.get("revision")
        if asked.modulation is not None and (asked.modulation.revision or 0) >= known:
            self.modulation = asked.modulation
        if isinstance(named, int) and named > (self.modulation.revision or 0):
            self.modulation = replace(UNAVAILABLE, revision=named, advice="late")

    def _capture_result(self, decision: Decision, output: Any, status: str, duration_ms: float) -> bool:
        def make() -> Request:
            value = {
                "identity": self.identity, "audit_id": self.audit_id, "call_id": decision.call_id,
                "tool": decision.tool or decision.function, "runner": decision.runner, "status": status,
                "duration_ms": max(0.0, float(duration_ms)), "output": output,
                "args_summary": f"{len(decision.arguments)} arguments", "ts": time.time(),
            }  # fmt: skip
            return request("/v1/tool-results", value)

        return self._delivery.capture("/v1/tool-results", make)

    def _close(self) -> bool:
        closing = self._closing or {"response": "", "response_summary": "abandoned", "reinforce": False}
        if not self._recorded:
            return False

        def make() -> Request:
            path = f"/v1/turns/{quote(self.audit_id, safe='')}/close"
            return request(path, {"identity": self.identity, "ts": time.time(), **closing})

        return self._delivery.capture("close", make)


def _given(opened: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an opening; signals may be a mapping of levels by name. Raises TypeError."""
    given = dict(opened)
    if "application_tools" in given:
        given["application_tools"] = [dict(one) for one in given["application_tools"]]
    signals: Mapping[str, float] | Iterable[Mapping[str, Any]] | None = given.get("signals")
    if isinstance(signals, Mapping):
        given["signals"] = [{"name": name, "level": level} for name, level in signals.items()]
    elif signals is not None:
        given["signals"] = [dict(one) for one in signals]
    return given


def card(turn: "TurnState | str", rating: int, identity: str | None, note: str | None, tags: Any) -> Request:
    """A feedback card on a turn, or on an audit id with an identity. Raises TypeError, ValueError."""
    state = turn if isinstance(turn, TurnState) else None
    value = {
        "identity": identity or (state.identity if state else None),
        "target_action_id": state.audit_id if state else turn,
        "rating": rating,
        "note": note,
        "tags": None if tags is None else list(tags),
        "ts": time.time(),
    }
    return request("/v1/feedback", value)
