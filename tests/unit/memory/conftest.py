"""The agents of memory in one process, fed record by record; every record that they produce is held to its model."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest

from endocrine.agents.capture.agent import AGENT as CAPTURE
from endocrine.agents.conflicts.agent import AGENT as CONFLICTS
from endocrine.agents.memory.agent import AGENT as MEMORY
from endocrine.agents.policy.compiled import Policy, compile_policy
from endocrine.agents.reflection.agent import AGENT as REFLECTION
from endocrine.agents.trust.agent import AGENT as TRUST
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.policy_files import shipped_policy

Json = dict[str, Any]
REBASE = "prefers rebase-based workflows because history stays linear"
AGREES = "I prefer rebase-based workflows because the history stays linear and reviewers have an easier time."


def policy_with(**sections: Json) -> Policy:
    """The shipped policy with some values of its sections replaced."""
    resolved = orjson.loads(orjson.dumps(shipped_policy().resolved))
    for name, values in sections.items():
        for path, value in values.items():
            place = resolved[name]
            *parents, last = path.split(".")
            for step in parents:
                place = place[step]
            place[last] = value
    return compile_policy(resolved)


class Minds:
    """Feeds records; keeps what came of them."""

    def __init__(self, policy: Policy) -> None:
        self.simulation = Simulation(
            (CAPTURE, REFLECTION, MEMORY, CONFLICTS, TRUST), policy, version="0", sizes=Sizes(), partitions=4
        )
        self.fed = 0
        self.ts = 1_000.0
        self.memories: dict[str, Json] = {}
        """Latest record by memory_id."""
        self.conflicts: dict[str, Json] = {}
        """Latest record by `subject/slot`."""

    def feed(self, topic: str, **value: Any) -> dict[str, list[Json]]:
        """What one record leads to, by topic. It gets an id and a time of its own where it brings none."""
        self.fed += 1
        self.ts += 1.0
        value = {"ts": self.ts, **value}
        if not CATALOGUE[topic].ours:
            value = {"id": f"in-{self.fed}", **value}
        found: dict[str, list[Json]] = {}
        for name, key, body, _ in self.simulation.feed(orjson.dumps({"topic": topic, "value": value})):
            assert not name.endswith(".dlq"), (name, body)
            assert isinstance(body, bytes)
            record = orjson.loads(body)
            model = CATALOGUE[name].validate(record)
            fields = [field for field in type(model).model_fields if field in record]
            assert list(record) == fields, name
            found.setdefault(name, []).append(record)
            if name == "memories":
                assert key == f"{record['subject']}/{record['memory_id']}"
                self.memories[record["memory_id"]] = record
            elif name == "conflicts":
                self.conflicts[f"{record['subject']}/{record['slot']}"] = record
        return found

    def command(self, kind: str, subject: str = "ann", **value: Any) -> dict[str, list[Json]]:
        """What a command of an operator leads to."""
        return self.feed("commands", kind=kind, identity=subject, by="op", **value)

    def create(self, content: str = REBASE, subject: str = "ann", type: str = "preference", **value: Any) -> str:
        """Write a memory; its id."""
        (event,) = self.command("memory_create", subject, type=type, content=content, **value)["memory-events"]
        assert event["kind"] == "created"
        return str(event["memory_id"])

    def turn(
        self,
        response: str,
        audit_id: str | None = None,
        project: str | None = None,
        identity: str = "ann",
        **closed: Any,
    ) -> dict[str, list[Json]]:
        """A turn that opens and closes; what its closing leads to."""
        audit_id = audit_id or f"turn-{self.fed}"
        opened = {"session_id": "s", "turn": 0, "client": "web", "prompt": "What now, then?"}
        more = {} if project is None else {"project": project}
        self.feed("interactions", kind="opened", audit_id=audit_id, identity=identity, **opened, **more)
        closing = {"kind": "closed", "audit_id": audit_id, "identity": identity, "response": response}
        return self.feed("interactions", **closing, **closed)

    def status(self, memory_id: str) -> str:
        """Its status."""
        return str(self.memories[memory_id]["status"])

    def refusal(self, found: dict[str, list[Json]], topic: str = "memory-events") -> str:
        """The reason of the one refusal; nothing else came of it."""
        assert list(found) == [topic]
        (event,) = found[topic]
        assert event["kind"] == "refused"
        return str(event["reason"])

    def stored(self, agent: str) -> dict[str, bytes]:
        """The states of an agent, as bytes."""
        held = [one for one in self.simulation._agents if one.engine.agent.name == agent]
        return {key: state for _, key, state in _states(held)}


def _states(held: Sequence[Any]) -> Iterator[tuple[int, str, bytes]]:
    for one in held:
        for (place, key), state in one.states.items():
            yield place, key, state


@pytest.fixture
def minds() -> Minds:
    """The agents with the shipped policy."""
    return Minds(shipped_policy())


@pytest.fixture
def minds_with():
    """The agents with a policy of which some values are replaced: `minds_with(memory={"active": 2})`."""
    return lambda **sections: Minds(policy_with(**sections))


@pytest.fixture(scope="session")
def fresh_minds():
    """The same for tests that run many examples: each example makes its own."""
    return lambda **sections: Minds(policy_with(**sections))
