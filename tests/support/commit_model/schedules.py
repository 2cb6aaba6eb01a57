"""Random schedules of inputs, crashes, zombies, compactions, policy switches and steps."""

import collections
import multiprocessing
import os
import random
from types import SimpleNamespace as Record

from commit_model.broker import KINDS, SOURCES, Broker, Fenced, message
from commit_model.checks import check
from commit_model.worker import Worker

DESIGN = {
    "slots": (1, 2, 3),
    "epoch": True,
    "look": "each",
    "reproduce": True,
    "recovers": "ascending",
    "outboxes": "one a slot",
    "slot_check": True,
    "bound": "slots",
    "counts": "acknowledged",
    "produce": "in order",
    "commits": "what is checkpointed",
    "dedupe": "per topic",
    "rekey_dedupe": True,
    "watermark_first": True,
    "split": False,
    "grouped": False,
    "lag": True,
    "journal": "last",
    "runs": "fresh",
    "journal_policy": True,
}
"""The full design; `ablations` changes these."""
INPUTS, STEPS = 12, 20_000
CHUNK = 100


def run(seed, **changes):
    """One random schedule. Return the broker as it is at rest, and the failures."""
    design, rng, broker, coarse = Record(**{**DESIGN, **changes}), random.Random(seed), Broker(), seed % 2

    def start(agent):
        return Worker(broker, agent, coarse, design, rng).life()

    def step(life):
        try:
            return next(life)
        except Fenced:
            return "fenced"

    live, zombies = {agent: start(agent) for agent in SOURCES}, []
    idle, left = collections.Counter(), INPUTS
    for _ in range(STEPS):
        dice, agent, before = rng.random(), rng.choice(list(SOURCES)), len(broker.trace)
        if left and dice < 0.25:
            left -= 1
            topic = rng.choice(["s1", "s2", "s3"])
            key = "?" * (rng.random() < 0.15) + rng.choice(["k1.x", "k1.y", "k2.x"])
            kind = "bad" if rng.random() < 0.1 else rng.choice(KINDS)
            broker.send(message(topic, f"{topic}/{len(broker.topics[topic])}", key, kind), by="input")
        elif left and dice < 0.29:
            broker.trace.append(f"crash of {agent}{broker.starts[agent]}")
            live[agent] = start(agent)
        elif left and dice < 0.33 and len(zombies) < 2:
            broker.trace.append(f"pause of {agent}{broker.starts[agent]}")
            zombies.append(live[agent])
            live[agent] = start(agent)
        elif zombies and dice < 0.38:
            zombie = rng.choice(zombies)
            if step(zombie) == "fenced":
                zombies.remove(zombie)
        elif dice < 0.42:
            broker.changelogs[agent].compact(design.lag)
        elif dice < 0.45:
            broker.policy += 1
        else:
            happened = step(live[agent])
            if happened == "fenced":
                live[agent] = start(agent)
            idle[agent] += happened == "idle"
            if happened == "idle" and len(broker.trace) == before:
                if not left and all(idle[a] > 3 for a in SOURCES) and (not zombies or rng.random() < 0.05):
                    return broker, [f"{b} ({a})" for a in SOURCES for b in check(broker, a, coarse, design)]
                continue
        if len(broker.trace) > before:
            idle.clear()
    return broker, ["0 never at rest"]


def attempt(job):
    """A schedule's seed and failures."""
    seed, changes = job
    try:
        return seed, run(seed, **changes)[1]
    except Exception as error:
        return seed, [f"0 error {error!r}"]


def campaign(count, first=0, workers=None, **changes):
    """Yield (seed, failures) of `count` schedules. workers: processes; None: one a core."""
    jobs = [(first + number, changes) for number in range(count)]
    workers = workers or os.cpu_count() or 1
    if workers == 1 or count <= CHUNK:
        yield from map(attempt, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(attempt, jobs, chunksize=CHUNK)
