"""Random schedules of inputs, crashes, zombies, compaction, lost commits and policy changes over real units.

Each schedule draws its own rates first (swarm testing): combinations that a fixed mix would hardly ever show come up.
"""

import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.runtime.errors import Fatal, Fenced, Retry
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.state_stores import MemoryStore, StateStore
from simbroker.broker import FakeStore, MemoryBroker, MemoryPort
from simbroker.strangers import forged
from simbroker.toy_agents import (
    CATALOGUE,
    IDENTITIES,
    KINDS,
    PARTITIONS,
    RETRIED,
    SEALS,
    SIZES,
    Toy,
    policy,
    source_record,
    toy_agents,
)

Key = tuple[str, int]
INPUTS = 14
STEPS = 30_000
ZOMBIES = 3
ENDS = ("fenced", "stopped")
SMALL, TINY = 4096 + 2600, 4096 + 1900
"""Bytes of a changelog batch into which three or so records' outputs fit, and into which one record's may not."""


@dataclass(frozen=True)
class Design:
    """What the ablations change; by default, the full design.

    lag: compaction spares what a void record hides. journal_policy, journal_refusals: replay takes them from the
    journal.
    """

    processor: type[PartitionProcessor] = PartitionProcessor
    port: type[MemoryPort] = MemoryPort
    engine: type[Engine] = Engine
    disk: type[FakeStore] = FakeStore
    lag: bool = True
    journal_policy: bool = True
    journal_refusals: bool = True
    rates: Mapping[str, Any] = field(default_factory=dict)
    """Rates that are not drawn: for a part that is needed in rare conditions only."""


@dataclass(frozen=True)
class Rates:
    """One schedule's rates, per step unless noted otherwise."""

    crash: float
    pause: float
    wake: float
    compact: float
    policy: float
    end: float
    """Of open transactions."""
    transactions: float
    """Share of inputs that come in a transaction of their own."""
    misrouted: float
    """Per input."""
    retry: float
    """Per input on the topic whose producers retry."""
    unrest: float
    """Share of reads before which others act."""
    faults: float
    """Share of lookups that fail for now."""
    durable: float
    """Share of units that hold their states on a disk."""
    strangers: float
    """Share of inputs that forge what only we may say (simbroker.strangers)."""
    reuse: float
    """Share of those that take a predecessor's disk where one is free."""
    kinds: str
    """Of inputs; see toy_agents."""
    identities: int
    max_records: int
    max_bytes: int
    ahead: int
    """The number of records that must wait for processing to run ahead of writing."""


def draw(rng: random.Random) -> Rates:
    """The rates of a schedule."""
    pick = rng.choice
    return Rates(
        crash=pick((0, 0.04, 0.1, 0.2)),
        pause=pick((0.02, 0.04, 0.08)),
        wake=pick((0.03, 0.05, 0.15)),
        compact=pick((0, 0.04, 0.15)),
        policy=pick((0, 0.03, 0.1)),
        end=pick((0.01, 0.05)),
        transactions=pick((0, 0, 0.3, 0.7)),
        misrouted=pick((0, 0.2, 0.4)),
        retry=pick((0, 0.3)),
        unrest=pick((0, 0.05, 0.3)),
        faults=pick((0, 0, 0.05)),
        strangers=pick((0, 0, 0.2)),
        reuse=pick((0.5, 0.9)),
        kinds=pick((KINDS, KINDS, "noowc")),
        identities=pick((2, 4)),
        durable=pick((0, 0.9, 1)),
        max_records=pick((2, 4, 8)),
        max_bytes=pick((1 << 20, SMALL, TINY)),
        ahead=pick((1, 1, 3, 1000)),
    )


@dataclass
class World:
    """One schedule's world."""

    design: Design
    rates: Rates
    rng: random.Random
    agents: dict[str, Toy]
    engines: dict[str, Engine]
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    policy_number: int = 0
    """Policies published so far."""
    follows: dict[Key, int] = field(default_factory=dict)
    """The policy that each processor follows: a worker learns of one on its own, and may go back to an earlier one."""
    starts: dict[Key, int] = field(default_factory=dict)
    disks: dict[Key, list[dict[bytes, bytes]]] = field(default_factory=dict)
    """Disks that no unit has open."""
    opened: dict["Life", tuple[Key, dict[bytes, bytes]]] = field(default_factory=dict)
    made: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Inputs on the topic whose producers retry: name, identity, kind, fit."""

    @property
    def keys(self) -> list[Key]:
        """All (agent, partition)."""
        return [(name, partition) for name in self.agents for partition in range(PARTITIONS)]


Life = Coroutine[str, None, None]


async def _live(processor: PartitionProcessor) -> None:
    """A unit's life as the worker leads it."""
    while True:
        try:
            await processor.recover()
            break
        except Retry:
            continue
    while True:
        try:
            await processor.step()
        except Retry:
            continue


def _begin(world: World, key: Key) -> Life:
    agent, partition = key
    number = world.starts[key] = world.starts.get(key, 0) + 1
    rates, design, sources = world.rates, world.design, world.agents[agent].sources
    port = design.port(
        world.broker,
        f"{agent}{partition}.{number}",
        agent,
        partition,
        sources,
        world.rng,
        unrest=rates.unrest,
        faults=rates.faults,
    )
    store: StateStore = MemoryStore()
    if world.rng.random() < rates.durable:
        free = world.disks.setdefault(key, [])
        # Of a machine that once owned the partition, or of a new one.
        reused = free and world.rng.random() < rates.reuse
        disk = free.pop(int(world.rng.random() * len(free))) if reused else {}
        store = design.disk(disk, world.broker.changelogs[key])
    processor = design.processor(
        world.engines[agent],
        partition,
        port,
        store,
        lambda: policy(world.follows.get(key, 0)),
        max_records=rates.max_records,
        max_bytes=rates.max_bytes,
        ahead=rates.ahead,
    )
    life = _live(processor)
    if isinstance(store, FakeStore):
        world.opened[life] = key, disk
    return life


def _end(world: World, life: Life) -> None:
    """A unit is no more; its disk is there for another."""
    life.close()
    if life in world.opened:
        key, disk = world.opened.pop(life)
        world.disks[key].append(disk)


def _step(life: Life) -> str:
    try:
        return str(life.send(None))
    except Fenced:
        return "fenced"
    except Fatal as error:
        if isinstance(error.__cause__, Retry):
            return "stopped"  # a lookup failed where waiting could lose something: the worker is started anew
        raise


def _input(world: World, number: int) -> OutputRecord:
    """The next record from outside: a new one, or on the topic whose producers retry, one of before."""
    rng, rates = world.rng, world.rates
    topic = rng.choice(["s1", "s2", "s3"])
    if topic == RETRIED and world.made and rng.random() < rates.retry:
        name, identity, kind, fit = rng.choice(world.made)
        if rng.random() < 0.2:
            kind = rng.choice(KINDS.replace("c", ""))  # the id once more with other content, most likely
        return source_record(topic, name, identity, kind, fit)
    # A finished key forgets which ids it has seen: where producers retry, no input finishes one.
    kind = "b" if rng.random() < 0.1 else rng.choice(rates.kinds if not rates.retry else rates.kinds.replace("c", ""))
    fit = rng.choice(["key", "place"]) if rng.random() < rates.misrouted else "right"
    name, identity = f"in{number}", rng.choice(IDENTITIES[-rates.identities :])
    if topic == RETRIED and kind != "b":
        world.made.append((name, identity, kind, fit))
    return source_record(topic, name, identity, kind, fit)


def _arrive(world: World, out: OutputRecord) -> None:
    """An input is appended, some in a transaction; some are strangers' on topics that agents write, never committed."""
    broker, roll = world.broker, world.rng.random
    if roll() >= world.rates.transactions:
        broker.append("input", out)
        return
    if roll() < 0.2:
        derived = out._replace(topic=world.rng.choice(["d1", "d2"]))
        if (derived.topic, derived.partition) not in broker.open:
            broker.begin(derived)
            broker.end((derived.topic, derived.partition), commit=False)
    if (out.topic, out.partition) in broker.open:
        broker.append("input", out)
    else:
        broker.begin(out)


def _finish(world: World) -> None:
    """One of the open transactions is committed or aborted."""
    places = list(world.broker.open)
    roll = world.rng.random
    world.broker.end(places[int(roll() * len(places))], commit=roll() < 0.6)


def run(seed: int, design: Design | None = None, *, check: Callable[[World], list[str]]) -> tuple[World, list[str]]:
    """One random schedule. Returns the world as it came to rest and the failures that `check` finds in it."""
    design, rng = design or Design(), random.Random(seed)
    rates, agents = replace(draw(rng), **design.rates), toy_agents(fine=bool(seed % 2))
    engines = {name: design.engine(agent, PARTITIONS, "sim", SIZES, SEALS, CATALOGUE) for name, agent in agents.items()}
    world = World(design, rates, rng, agents, engines)
    world.broker.trace.append((rates,))
    lives: list[Life] = []
    try:
        failures = _play(world, lives) or check(world)
    except Exception as error:
        failures = [f"0 error {type(error).__name__}: {error}"]
    finally:
        for life in lives:
            life.close()
    return world, failures


def _play(world: World, lives: list[Life]) -> list[str]:
    """Play until everything is at rest. Every life begun is in `lives` afterwards."""
    rates, rng, broker, trace = world.rates, world.rng, world.broker, world.broker.trace
    roll, keys = rng.random, world.keys
    below_crash = 0.25 + rates.crash
    below_pause = below_crash + rates.pause
    below_wake = below_pause + rates.wake
    below_compact = below_wake + rates.compact
    below_policy = below_compact + rates.policy
    below_end = below_policy + rates.end

    def begin(key: Key) -> Life:
        lives.append(_begin(world, key))
        return lives[-1]

    live = {key: begin(key) for key in keys}
    zombies: list[Life] = []
    idle = dict.fromkeys(keys, 0)
    left, busy = INPUTS, keys
    for _ in range(STEPS):
        dice, before = roll(), len(trace)
        key = busy[int(roll() * len(busy))]
        if dice < below_pause:
            if not left:
                continue
            if dice < 0.25:
                left -= 1
                given = _input(world, INPUTS - left)
                if rates.strangers and roll() < rates.strangers:
                    given = forged(rng, broker, given)
                _arrive(world, given)
            elif dice < below_crash:
                trace.append(("crash of", key, world.starts[key]))
                _end(world, live[key])
                live[key] = begin(key)
            elif len(zombies) < ZOMBIES:
                trace.append(("pause of", key, world.starts[key]))
                zombies.append(live[key])
                live[key] = begin(key)
        elif dice < below_wake:
            if zombies:
                zombie = zombies[int(roll() * len(zombies))]
                if (result := _step(zombie)) in ENDS:
                    trace.append((f"a zombie is {result}",))
                    zombies.remove(zombie)
                    _end(world, zombie)
        elif dice < below_compact:
            broker.changelogs[key].compact(world.design.lag)
        elif dice < below_policy:
            world.policy_number += 1
            taken_back = world.policy_number % 3 == 0
            world.follows[key] = world.policy_number - 2 * taken_back
        elif dice < below_end:
            if broker.open:
                _finish(world)
        else:
            result = _step(live[key])
            if result in ENDS:
                trace.append((f"{result}:", key, world.starts[key]))
                _end(world, live[key])
                live[key] = begin(key)
            elif result == "idle":
                idle[key] += 1
        if len(trace) > before:
            idle = dict.fromkeys(keys, 0)
            busy = keys
        elif not left:
            # Idle twice: between the two it looked at its changelog's end.
            busy = [key for key in keys if idle[key] < 2]
            if not busy:
                if broker.open:  # at rest with open transactions: what comes after them waits, nothing else does
                    _finish(world)
                    idle, busy = dict.fromkeys(keys, 0), keys
                    continue
                if not broker.faulty and (not zombies or roll() < 0.1):
                    return []
                # Once more, and this time no look fails.
                broker.faulty, idle, busy = False, dict.fromkeys(keys, 0), keys
    return ["0 never at rest"]
