"""One identity's life: records in, modulations out, the state passed through its stored form each time."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from agent_runs import processed
from endocrine.agents.contract import Reject, Trigger
from endocrine.agents.modulation.agent import AGENT
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy
from policies import policy_over

PLAIN = "Tell me of the rivers that flow through Vienna."
"""A prompt whose wording gives no signal."""
MODULATION = CATALOGUE["modulations"].adapter


class Run:
    """Feeds records to the agent; every output is validated, every state stored and read back, none changed."""

    def __init__(self, policy: Policy, identity: str = "ann") -> None:
        self.policy, self.identity, self.state, self.count = policy, identity, None, 0

    def feed(self, topic: str, appended: float | None = None, **value: Any) -> list[dict[str, Any]]:
        self.count += 1
        value = {"identity": self.identity, **value}
        model = CATALOGUE[topic].adapter.validate_json(orjson.dumps(value), strict=True)
        self.state, outputs = processed(
            AGENT, self.state, Trigger(topic, f"{topic}-{self.count}", self.identity, model, appended), self.policy
        )
        for output in outputs:
            assert (output.topic, output.identity) == ("modulations", self.identity)
            stored = MODULATION.validate_json(orjson.dumps(output.value), strict=True)
            rare = {"expires": stored.refusal == "held", "application_tools": stored.application_tools is not None}
            fields = [name for name in type(stored).model_fields if rare.get(name, True)]
            assert list(output.value) == fields
            for name, steps in output.value["lineage"].items():
                assert steps[-1]["to"] == output.value["parameters"][name]
                assert [step["from"] for step in steps] == [None, *(step["to"] for step in steps[:-1])]
        return [dict(output.value) for output in outputs]

    def open(self, audit_id: str = "t1", ts: float = 1000.0, signals: Any = None, **more: Any) -> Any:
        """Open a turn; signals: {name: level} or a list of inline signals. Returns its only modulation, or None."""
        outputs = self.opening(audit_id, ts, signals, **more)
        assert len(outputs) <= 1
        return outputs[0] if outputs else None

    def opening(self, audit_id: str, ts: float, signals: Any, **more: Any) -> list[dict[str, Any]]:
        """Open a turn, and return its modulation with those of held turns whose time is over by then."""
        if isinstance(signals, dict):
            signals = [{"name": name, "level": level} for name, level in signals.items()]
        value = {"kind": "opened", "audit_id": audit_id, "session_id": "s", "turn": 0, "client": "c", "prompt": PLAIN}
        return self.feed("interactions", **{**value, "signals": signals, "ts": ts, **more})

    def close(self, audit_id: str = "t1", ts: float = 1001.0) -> None:
        assert self.feed("interactions", kind="closed", audit_id=audit_id, response="ok", ts=ts) == []

    def signal(
        self, name: str, level: float, ts: float = 1000.0, ttl_ms: int = 800, source: str = "probe", **more: Any
    ):
        return self.feed("signals", name=name, level=level, ttl_ms=ttl_ms, source=source, ts=ts, **more)

    def block(
        self,
        audit_id: str | None = "t1",
        ts: float = 1001.0,
        kind: str = "tool_blocked",
        incident_id: str = "gating/c/1",
    ) -> list[dict[str, Any]]:
        snapshot = {"allowlist": ["retrieval"], "mode": "balanced"}
        return self.feed(
            "incidents", incident_id=incident_id, kind=kind, audit_id=audit_id, attempted="x", reason="unknown_tool",
            params_snapshot=snapshot, prompt_hmac=None, policy="0" * 64, ts=ts,
        )  # fmt: skip

    def style(self, temperature=0.0, top_p=0.0, memory_write=0.0, locked=False, ts: float = 900.0) -> None:
        intents = {"affirm": 0, "reject": 0, "more_detail": 0, "soften": 0, "ground": 0}
        outputs = self.feed(
            "style-tables", temperature_delta=temperature, top_p_delta=top_p, memory_write_boost=memory_write,
            verbosity_bias=0.0, cards=1, intents=intents, locked=locked, unknown_actions=0, ts=ts,
        )  # fmt: skip
        assert outputs == []

    def tick(self, ts: float) -> list[dict[str, Any]]:
        return self.feed("commands", kind="tick", by="timekeeper", ts=ts)

    def approve(self, audit_id: str = "t1", ts: float = 1010.0, by: str = "op") -> list[dict[str, Any]]:
        return self.feed("commands", kind="approve_turn", audit_id=audit_id, by=by, ts=ts)

    def deny(self, audit_id: str = "t1", ts: float = 1010.0, by: str = "op") -> list[dict[str, Any]]:
        return self.feed("commands", kind="deny_turn", audit_id=audit_id, by=by, ts=ts)

    def clear(self, ts: float = 1010.0, by: str = "op", **more: Any) -> list[dict[str, Any]]:
        return self.feed("commands", kind="clear_risk", by=by, ts=ts, **more)

    def cap(self, cap: int, ts: float = 900.0) -> None:
        assert self.feed("commands", kind="set_cap", by="op", cap=cap, ts=ts) == []


@pytest.fixture(scope="session")
def policy_with() -> Callable[[dict[str, Any]], Policy]:
    """The shipped policy with a partial document laid over it."""
    return policy_over


@pytest.fixture(scope="session")
def new_life(policy_with) -> Callable[..., Run]:
    """A new life under the shipped policy, or with a partial document laid over it."""

    def make(partial: dict[str, Any] | None = None, policy: Policy | None = None) -> Run:
        return Run(policy or (policy_with(partial) if partial else shipped_policy()))

    return make


@pytest.fixture
def life(new_life) -> Run:
    return new_life()


@pytest.fixture(scope="session")
def fates() -> Callable[[dict[str, Any]], list[tuple[str, float, str]]]:
    """(name, level, fate) of the signals a modulation lists."""
    return lambda record: [(one["name"], one["level"], one["fate"]) for one in record["signals"]]


@pytest.fixture(scope="session")
def rejected() -> Callable[..., Reject]:
    """The Reject a call raises."""

    def catch(call: Callable[[], Any]) -> Reject:
        with pytest.raises(Reject) as error:
            call()
        return error.value

    return catch
