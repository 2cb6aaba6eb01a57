"""All agents over recorded topics, and the erasure of a subject among them, as the command carries it out."""

from collections import Counter

import orjson
import pytest

from endocrine.agents.erasing import ERASERS
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.producer_dedup import unpack
from endocrine.pipeline.data.erasure.plan import claims, commands, names_of, plan_of
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.verify import Verifier
from recorded import PARTITIONS, SIZES, Recording, randomly

POLICY = shipped_policy()


class World:
    """Agents as workers would have them."""

    def __init__(self, seed=0):
        self.topics, self.how_many, self.fed = Recording(), randomly(seed), 0

    def lines(self, lines):
        self.topics.feed(lines)
        self.topics.run(POLICY, self.how_many)

    def feed(self, *values, topic="commands"):
        """Records in their order, each with an id and a time of its own."""
        lines = []
        for value in values:
            self.fed += 1
            named = {"id": f"fed-{self.fed}", "ts": 2_000_000_000.0 + self.fed, **value}
            lines.append({"topic": value.get("topic", topic), "value": named})
        self.lines(lines)

    def command(self, identity, kind, **value):
        self.feed({"identity": identity, "kind": kind, "by": "op", **value})

    def stored(self):
        """Bytes of each state by agent and key."""
        found = {agent: {} for agent in ERASERS}
        for processor, states in self.topics.states.items():
            agent = processor.rpartition("/")[0]
            if agent in found:
                found[agent] |= {key: state for key, state in states.items() if key != CHAIN_KEY}
        return found

    def states(self):
        """By agent and key, as `live_states` reads them."""
        recalls = {agent.name: any(CATALOGUE[topic].producer_dedup for topic in agent.sources) for agent in AGENTS}
        return {
            agent: {
                key: state
                for key, one in states.items()
                if (state := unpack(one)[0] if recalls[agent] else orjson.loads(one)) is not None
            }
            for agent, states in self.stored().items()
        }

    def table(self):
        table = NameTable()
        for n in range(PARTITIONS):
            for raw in self.topics.logs["registry", n]:
                table.apply(raw.key, raw.value)
        return table

    def plan(self, subject):
        return plan_of(subject, names_of(self.table(), subject), self.states())

    def send(self, values):
        """What each answered."""
        before = len(self.answers())
        reads = {agent.name: "commands" if "commands" in agent.sources else "erasures" for agent in AGENTS}
        self.lines([{"topic": reads[value["agent"]], "value": value} for value in values])
        return Counter(one["outcome"] for one in self.answers()[before:])

    def answers(self):
        found = [raw for n in range(PARTITIONS) for raw in self.topics.logs["erasure-events", n]]
        return [orjson.loads(raw.value) for raw in sorted(found, key=lambda raw: raw.timestamp)]

    def erase(self, subject):
        """In some rounds, as what is on its way may make states anew; then claim its names; what was answered."""
        outcomes, plan = Counter(), self.plan(subject)
        claimed = claims(plan)
        for _ in range(3):
            outcomes += self.send(commands(plan, plan.erasures, by="op", ts=2_100_000_000.0))
            plan = self.plan(subject)
        return outcomes + self.send(commands(plan, claimed, by="op", ts=2_100_000_000.0))

    def latest(self, topic):
        """The bytes of a compacted topic as they are now, by key."""
        found = {}
        for n in range(PARTITIONS):
            for raw in self.topics.logs[topic, n]:
                found[raw.key.decode()] = raw.value
        return {key: value for key, value in found.items() if value is not None}

    def verified(self):
        return Verifier(self.topics.logs, lambda digest: POLICY, partitions=PARTITIONS, sizes=SIZES).run(AGENTS)


@pytest.fixture(scope="session")
def new_world():
    return World
