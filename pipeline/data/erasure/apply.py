"""Carrying an erasure out: commands to every agent that holds the subject, until none does (memory, 14.23).

1. Wait until agents have read all that lies on their topics; plan from their changelogs; send; wait for each answer.
   What was on its way may make a state anew, so that this is repeated until a plan is empty.
2. Keep the names as digests.
3. Let every agent make batches on every partition: a changelog keeps the outboxes of its last batches, with what they
   produced. `ROUNDS` batches later none holds anything of the subject. The records that do it name nobody.

A run that ends early loses nothing and can be run again: what is erased is erased, and the plan finds the rest.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from endocrine.agents.contract import Agent
from endocrine.agents.erasing import ERASERS, EVENTS
from endocrine.agents.registry import AGENTS, COMMANDED
from endocrine.agents.rekeying import ERASURES
from endocrine.pipeline.core.checkpoint import OUTBOX_SLOTS
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.data.commands import SOURCE, Outcomes
from endocrine.pipeline.data.erasure.plan import Erasure, Plan, claims, commands, names_of, passing, plan_of
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.data.live_states import caught_up, live_states
from endocrine.pipeline.process.settings import Settings

Json = dict[str, Any]
AT_ONCE = 200
"""Commands sent before their answers are waited for."""
MOST_PLANS = 8
"""Plans made before an erasure is given up as incomplete: somebody goes on writing about the subject."""
ROUNDS = OUTBOX_SLOTS + 1
"""Batches that every agent makes after the last erasure: the first may hold what was read with it."""
HOLDING: tuple[Agent, ...] = tuple(agent for agent in AGENTS if agent.name in ERASERS)
"""Agents that hold states of subjects."""


class Incomplete(Exception):
    """An erasure did not get to its end. The message says at which step; to run it again goes on from there."""


@dataclass
class Done:
    """What was erased."""

    plan: Plan
    """The last one with anything in it: its memory ids are those of all."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Answers by outcome."""
    states: Counter[str] = field(default_factory=Counter)
    """States erased or reduced, by agent."""


async def planned(
    settings: Settings,
    table: NameTable,
    subject: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Plan:
    """Return what agents hold of a subject now. Raises what `live_states` raises."""
    states = await live_states(settings, {agent.name: agent for agent in HOLDING}, progress)
    return plan_of(subject, names_of(table, subject), states)


async def apply(
    settings: Settings,
    plan: Plan,
    table: NameTable,
    *,
    by: str,
    within_s: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Done:
    """Carry out an erasure: of a subject, from all that agents hold. table: of names, as it was before.

    within_s: seconds for agents to catch up, and for the answers of `AT_ONCE` commands. Raises Incomplete, and what
    `caught_up`, `live_states` and `produce` raise.
    """
    done, subject = Done(plan), plan.subject
    names, memory_ids = plan.names, list(plan.memory_ids)
    async with Outcomes(settings, EVENTS, range(settings.partitions)) as answers:
        sender = _Sender(settings, answers, done, by, within_s)
        for number in count():
            if number:
                await caught_up(settings, HOLDING, within_s)
                states = await live_states(settings, {agent.name: agent for agent in HOLDING}, progress)
                plan = plan_of(subject, names, states)
                memory_ids += [one for one in plan.memory_ids if one not in memory_ids]
            if number and plan.is_empty:
                break
            if number == MOST_PLANS:
                raise Incomplete(f"{len(plan.erasures)} states came back: somebody goes on writing about the subject")
            plan.memory_ids = memory_ids
            await sender.erase(plan, plan.erasures)
        await sender.erase(plan, claims(done.plan))
        for _ in range(ROUNDS):
            await sender.let_all_pass(plan)
        await caught_up(settings, AGENTS, within_s)
    done.plan.memory_ids = memory_ids
    return done


class _Sender:
    """Sends commands, and waits for their answers."""

    def __init__(self, settings: Settings, answers: Outcomes, done: Done, by: str, within_s: float) -> None:
        self._settings, self._answers, self._done = settings, answers, done
        self._by, self._within_s = by, within_s

    async def erase(self, plan: Plan, erasures: Sequence[Erasure]) -> None:
        """Send the command of each. Raises Incomplete where one has no answer, or is refused."""
        values = list(commands(plan, erasures, by=self._by, ts=time.time()))
        for first in range(0, len(values), AT_ONCE):
            some = values[first : first + AT_ONCE]
            waiting = {(value["id"], value["agent"]) for value in some}
            await self._send([(COMMANDED[value["agent"]], value) for value in some], waiting)

    async def let_all_pass(self, plan: Plan) -> None:
        """Let each agent make a batch of every partition."""
        sent, waiting = [], set()
        for token in _tokens(self._settings.partitions):
            for topic in ("commands", ERASURES):
                value = passing(plan, token, by=self._by, ts=time.time())
                sent.append((topic, value))
                waiting |= {(value["id"], agent) for agent, read in COMMANDED.items() if read == topic}
        await self._send(sent, waiting)

    async def _send(self, sent: Sequence[tuple[str, Json]], waiting: set[tuple[str, str]]) -> None:
        lines = [{"topic": topic, "value": value, "headers": {"ce_source": SOURCE}} for topic, value in sent]
        await produce(lines, self._settings)
        deadline = time.monotonic() + self._within_s
        while waiting and (left := deadline - time.monotonic()) > 0:
            for caused in await self._answers.next(left):
                event = caused.event or {"outcome": "refused", "agent": None}
                if (caused.command, event["agent"]) in waiting:
                    waiting.discard((caused.command, event["agent"]))
                    self._done.outcomes[event["outcome"]] += 1
                    if event["outcome"] in ("erased", "reduced"):
                        self._done.states[event["agent"]] += 1
                elif caused.event is None and any(caused.command == command for command, _ in waiting):
                    raise Incomplete(f"a command is a dead letter ({caused.refused}): {caused.message}")
        if waiting:
            silent = ", ".join(sorted({agent for _, agent in waiting})[:5])
            raise Incomplete(f"{len(waiting)} answers did not come within {self._within_s:g} s, of {silent}")


def _tokens(partitions: int) -> Iterator[str]:
    """An identity of nobody on each partition."""
    left = set(range(partitions))
    while left:
        token = f"$pass:{uuid.uuid4().hex[:12]}"
        if (place := partition_of(token, partitions)) in left:
            left.discard(place)
            yield token
