"""The agents of linkage in one process, fed record by record; every record that they produce is held to its model."""

from collections.abc import Sequence
from typing import Any

import orjson

from endocrine.agents.contract import Agent, Trigger
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy

POLICY = shipped_policy()
RULES = POLICY.document.linkage
Json = dict[str, Any]


class Linked:
    """Feeds observations, evidence, hints or commands; follows every record through the agents of linkage."""

    def __init__(self, names: Sequence[str] = ("evidence", "meeting", "linkage")) -> None:
        self.agents: list[Agent] = [agent for agent in AGENTS if agent.name in names]
        self.states: dict[tuple[str, str], Any] = {}
        self.made: dict[str, list[Json]] = {}
        """Every record that was produced, by topic."""
        self.links: dict[tuple[str, str], Json] = {}
        """The latest record of each pair."""
        self.fed = 0

    def see(self, who: str, kind: str, value: Any, ts: float = 1_000.0) -> dict[str, list[Json]]:
        """An observation of the primitive that carries a kind of evidence."""
        self.fed += 1
        observation = {"primitive": RULES.kinds[kind].primitive, "value": value, "confidence": 1.0, "source": "t",
                       "identity_ref": who, "window": {"start_ts": ts, "end_ts": ts}, "ts": ts, "v": 1,
                       "id": f"{who}-{self.fed}"}  # fmt: skip
        return self.feed("observations", observation)

    def command(self, kind: str, a: str, b: str, ts: float = 2_000.0, **more: Any) -> Json:
        """The one event that answers a command. Raises KeyError without one, ValueError for several."""
        made = self.feed("commands", {"kind": kind, "identity": a, "b": b, "by": "op", "ts": ts, **more})
        (event,) = made["link-events"]
        return event

    def feed(self, topic: str, value: Json) -> dict[str, list[Json]]:
        """What one record leads to, by topic, down to the end."""
        self.fed += 1
        made: dict[str, list[Json]] = {}
        self._feed(topic, value, f"r{self.fed}", made)
        for name, values in made.items():
            self.made.setdefault(name, []).extend(values)
        return made

    def _feed(self, topic: str, value: Json, record_id: str, made: dict[str, list[Json]]) -> None:
        described = CATALOGUE[topic]
        model = described.validate(orjson.loads(orjson.dumps(value)))
        identity = value[described.identity_field]
        trigger = Trigger(topic, value.get("id", record_id), identity, model)
        if topic == "identity-links":
            self.links[value["a"], value["b"]] = value
        for agent in self.agents:
            if topic not in agent.sources:
                continue
            at = agent.name, agent.key(trigger)
            before = self.states.get(at)
            kept = orjson.dumps(before)
            after, outputs = agent.process(before, trigger, POLICY)
            assert orjson.dumps(before) == kept, "process changed the state it was given"
            self.states[at] = orjson.loads(orjson.dumps(after))
            for number, output in enumerate(outputs):
                assert output.topic in agent.targets
                made.setdefault(output.topic, []).append(dict(output.value))
                assert output.identity == output.value[CATALOGUE[output.topic].identity_field]
                self._feed(output.topic, dict(output.value), f"{agent.name}/{trigger.id}/{number}", made)

    def largest(self, agent: str) -> int:
        """Bytes of the largest state of an agent."""
        return max(len(orjson.dumps(state)) for (name, _), state in self.states.items() if name == agent)
