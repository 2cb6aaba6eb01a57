"""Random schedules of inputs, crashes, zombies, compaction, lost commits and policy changes over real units."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.engine.batch import Engine
from pipeline.runtime.errors import Fenced
from pipeline.runtime.unit import Unit
from pipeline.simbroker.broker import MemoryBroker, MemoryPort
from pipeline.simbroker.toys import CATALOGUE, IDENTITIES, KINDS, PARTITIONS, Toy, cast, policy, source_record

Key = tuple[str, int]
INPUTS = 14
STEPS = 30_000


@dataclass
class Design:
    """What the ablations change; as it stands, the full design."""

    unit: type[Unit] = Unit
    port: type[MemoryPort] = MemoryPort
    engine: type[Engine] = Engine
    lag: bool = True


@dataclass
class World:
    """One schedule's world."""

    broker: MemoryBroker
    agents: dict[str, Toy]
    engines: dict[str, Engine]
    policy_number: int = 0
    starts: Counter[Key] = field(default_factory=Counter)


def _begin(world: World, design: Design, key: Key, rng: random.Random) -> Any:
    agent, partition = key
    world.starts[key] += 1
    name = f"{agent}{partition}.{world.starts[key]}"
    sources = world.agents[agent].sources
    port = design.port(world.broker, name, agent, partition, sources, rng)
    unit = design.unit(
        world.engines[agent], partition, port, {}, lambda: policy(world.policy_number), max_records=4, max_bytes=1 << 20
    )
    return unit.run()


def _step(life: Any) -> str:
    try:
        said: str = life.send(None)
        return said
    except Fenced:
        return "fenced"


def run(seed: int, design: Design | None = None, *, check: Callable[[World], list[str]]) -> tuple[World, list[str]]:
    """One random schedule. Returns the world as it came to rest and the failures that `check` finds in it."""
    design = design or Design()
    rng = random.Random(seed)
    agents = cast(fine=bool(seed % 2))
    engines = {name: design.engine(agent, PARTITIONS, "sim", 4096, CATALOGUE) for name, agent in agents.items()}
    world = World(MemoryBroker(PARTITIONS), agents, engines)
    keys: list[Key] = [(name, partition) for name in agents for partition in range(PARTITIONS)]
    live = {key: _begin(world, design, key, rng) for key in keys}
    zombies: list[Any] = []
    idle: Counter[Key] = Counter()
    left, trace = INPUTS, world.broker.trace
    for _ in range(STEPS):
        dice, key, before = rng.random(), rng.choice(keys), len(trace)
        if left and dice < 0.25:
            left -= 1
            topic = rng.choice(["s1", "s2", "s3"])
            kind = "b" if rng.random() < 0.1 else rng.choice(KINDS)
            fit = rng.choice(["right"] * 6 + ["key", "place"])
            world.broker.append("input", source_record(topic, f"in{INPUTS - left}", rng.choice(IDENTITIES), kind, fit))
        elif left and dice < 0.29:
            trace.append(f"crash of {key[0]}{key[1]}.{world.starts[key]}")
            live[key].close()
            live[key] = _begin(world, design, key, rng)
        elif left and dice < 0.33 and len(zombies) < 2:
            trace.append(f"pause of {key[0]}{key[1]}.{world.starts[key]}")
            zombies.append(live[key])
            live[key] = _begin(world, design, key, rng)
        elif zombies and dice < 0.38:
            zombie = rng.choice(zombies)
            if _step(zombie) == "fenced":
                zombies.remove(zombie)
        elif dice < 0.42:
            world.broker.changelogs[key].compact(design.lag)
        elif dice < 0.45:
            world.policy_number += 1
        else:
            said = _step(live[key])
            if said == "fenced":
                live[key] = _begin(world, design, key, rng)
            idle[key] += said == "idle"
            if said == "idle" and len(trace) == before:
                if not left and all(idle[k] > 3 for k in keys) and (not zombies or rng.random() < 0.05):
                    for life in [*live.values(), *zombies]:
                        life.close()
                    return world, check(world)
                continue
        if len(trace) > before:
            idle.clear()
    return world, ["0 never at rest"]
