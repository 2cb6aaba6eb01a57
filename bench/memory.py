"""What memory costs: `make bench-memory`. 100,000 memories over 2,000 subjects, with no broker.

- A closed turn of a person in a project, with the agents of memory and without them: CPU time of all agents, in one
  run, taking turns, because the machine's speed changes from minute to minute. At most 1.3 times is asked for.
- A context pack from the read models in a Valkey of its own: CPU of ours and the clock; at most 20 ms are asked for.
- Recovery: the states that a worker reads back, and how long decoding them takes. Replay: memories proved a second.
"""

import argparse
import asyncio
import gc
import random
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson

from bench.replay import PARTITIONS, SIZES, Made, measure
from endocrine.agents.context.pack import Subjects
from endocrine.agents.memory.agent import AGENT as MEMORY
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.data.context import Passages, build
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.store import connect

OF_MEMORY = ("capture", "reflection", "memory", "conflicts")
STORE = ("reflection", "memory", "conflicts")
"""Agents that hold memories."""
ASKED_RATIO, ASKED_MS = 1.3, 20.0
ROUNDS, TURNS = 9, 100
WORDS = [f"word{number}" for number in range(5_000)]
ANSWER_WORDS, MEMORY_WORDS = 120, 12
BEGAN = 1_760_000_000.0


def subject_of(number: int) -> str:
    """People and projects by turns; person n talks in project n."""
    return f"user-{number // 2}" if number % 2 == 0 else f"project:p{number // 2}"


def creations(count: int, subjects: int) -> list[Made]:
    """Commands that write memories, the subjects one after the other."""
    rng, made = random.Random(7), []
    for number in range(count):
        subject, content = subject_of(number % subjects), " ".join(rng.sample(WORDS, MEMORY_WORDS))
        value = {"kind": "memory_create", "identity": subject, "type": "knowledge", "content": content, "by": "bench"}
        made.append(("commands", subject, orjson.dumps({**value, "ts": BEGAN + number * 0.001, "id": f"c{number}"})))
    return made


def simulation(names: set[str]) -> Simulation:
    """These agents in one process."""
    chosen = [agent for agent in AGENTS if agent.name in names]
    return Simulation(chosen, shipped_policy(), version="bench", sizes=SIZES, partitions=PARTITIONS)


def turn(run: Simulation, number: int, person: int, answer: str) -> None:
    """One turn of a person in their project, opened and closed."""
    ts, named = BEGAN + 1_000.0 + number, {"audit_id": f"t{number}", "identity": f"user-{person}"}
    opened = {"session_id": "s", "turn": number, "client": "bench", "prompt": "What now, then, please?"}
    for value in (
        {"kind": "opened", **named, **opened, "project": f"p{person}", "ts": ts, "id": f"o{number}"},
        {"kind": "closed", **named, "response": answer, "ts": ts + 0.5, "id": f"x{number}"},
    ):
        for _ in run.feed(orjson.dumps({"topic": "interactions", "value": value})):
            pass


def ratio(store: Simulation, people: int) -> tuple[float, float]:
    """CPU milliseconds of a turn with the agents of memory, and without; medians of the rounds."""
    names = {agent.name for agent in AGENTS}
    runs = {"with": simulation(names), "without": simulation(names - set(OF_MEMORY))}
    held = {one.engine.agent.name: one for one in store._agents}
    for one in runs["with"]._agents:
        if (kept := held.get(one.engine.agent.name)) is not None:
            one.states, one.watermarks = kept.states, dict(kept.watermarks)
    rng, number, spent = random.Random(8), 0, defaultdict[str, list[float]](list)
    for _ in range(ROUNDS):
        answers = [" ".join(rng.sample(WORDS, ANSWER_WORDS)) for _ in range(TURNS)]
        chosen = [rng.randrange(people) for _ in range(TURNS)]
        for name, run in runs.items():
            gc.collect()
            begun = time.process_time()
            for place, (person, answer) in enumerate(zip(chosen, answers, strict=True)):
                turn(run, number + place, person, answer)
            spent[name].append((time.process_time() - begun) / TURNS * 1000)
        number += TURNS
    # The first round warms caches.
    return statistics.median(spent["with"][1:]), statistics.median(spent["without"][1:])


async def packs(store: Simulation, people: int, folder: Path) -> tuple[list[float], list[float]]:
    """Milliseconds of context packs, each of a person and their project, sorted: of the clock, and CPU of ours."""
    server = ValkeyServer(folder)
    await server.start()
    try:
        settings = Settings(redis_url=server.url)
        memory = next(one for one in store._agents if one.engine.agent.name == "memory")
        hashes: dict[str, dict[str, bytes]] = defaultdict(dict)
        for (_, key), stored in memory.states.items():
            subject, _, memory_id = key.rpartition("/")
            hashes[keys.memories(subject)][memory_id] = orjson.dumps(_entry_of(stored))
        async with connect(settings) as client:
            for key, fields in hashes.items():
                await client.hset(key, mapping=fields)  # type: ignore[arg-type]
            rng, found, spent = random.Random(9), [], []
            for _ in range(300):
                person = rng.randrange(people)
                whose = Subjects(f"user-{person}", f"p{person}", ())
                begun = time.process_time()
                built = await build(client, settings, shipped_policy(), "What?", whose, Passages(None))
                spent.append((time.process_time() - begun) * 1000)
                assert built.pack.memories_used
                found.append(built.duration_ms)
        return sorted(found), sorted(spent)
    finally:
        await server.stop()


def _entry_of(stored: bytes) -> Any:
    """The memory in the bytes of a state, whatever is kept beside it."""
    return _find(orjson.loads(stored))


def _find(value: Any) -> Any:
    if isinstance(value, dict):
        return value["entry"] if "entry" in value else next(filter(None, map(_find, value.values())), None)
    return next(filter(None, map(_find, value)), None) if isinstance(value, list) else None


def main() -> None:
    """Print the figures."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--memories", type=int, default=100_000)
    ask.add_argument("--subjects", type=int, default=2_000)
    ask.add_argument("--replayed", type=int, default=20_000)
    given = ask.parse_args()
    inputs, store = creations(given.memories, given.subjects), simulation(set(STORE))
    begun = time.process_time()
    for topic, who, value in inputs:
        for _ in store.apply(topic, who.encode(), value, ()):
            pass
    spent = time.process_time() - begun
    print(f"{given.memories:,} memories of {given.subjects:,} subjects made in {spent:.1f} CPU s")
    for one in store._agents:
        begun = time.process_time()
        for stored in one.states.values():
            orjson.loads(stored)
        decoding, size = time.process_time() - begun, sum(map(len, one.states.values()))
        shown = f"{len(one.states):>8,} states, {size / 1e6:7.1f} MB, decoded in {decoding:.2f} CPU s"
        print(f"recovery  {one.engine.agent.name:11} {shown}")
    people = given.subjects // 2
    with tempfile.TemporaryDirectory() as folder:
        elapsed, spent_ms = asyncio.run(packs(store, people, Path(folder)))
    for what, taken in (("ms of CPU", spent_ms), ("ms of the clock", elapsed)):
        middle, late = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
        print(f"context pack from the read models: {middle:.1f} {what} (p99 {late:.1f}, at most {ASKED_MS:g} asked)")
    dear, cheap = ratio(store, people)
    print(f"closed turn: {dear:.2f} ms with memory, {cheap:.2f} ms without: {dear / cheap:.2f} times"
          f" (at most {ASKED_RATIO:g} asked)")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        report, seconds, _, dead = measure(MEMORY, inputs[: given.replayed], Path(folder))
    assert report.proved, dict(report.counts)
    assert not dead, f"{dead} inputs came out as dead letters"
    print(
        f"replay: {given.replayed / seconds:,.0f} memories proved a CPU second ({report.compared:,} records compared)"
    )


if __name__ == "__main__":
    main()
