"""What goes wrong, and when: a schedule of faults from a seed."""

import random
from dataclasses import dataclass

SHARES = {
    "kill": 28,
    "terminate": 15,
    "zombie": 18,
    "pause": 6,
    "replace": 6,
    "broker-crash": 5,
    "broker-restart": 5,
    "broker-freeze": 2,
    "broker-away": 1,
    "add": 1,
    "remove": 1,
    "connector-kill": 6,
    "connector-terminate": 3,
    "connector-zombie": 3,
}
"""Of a hundred faults; with fewer, each kind comes at least once, `broker-away` from 20 faults on."""
MEANING = {
    "kill": "SIGKILL of a worker, restarted after a while",
    "terminate": "SIGTERM of a worker, restarted",
    "zombie": "SIGSTOP of a worker past the session timeout, then SIGCONT",
    "pause": "SIGSTOP of a worker for less than the session timeout, then SIGCONT",
    "replace": "SIGSTOP of a static member, its successor started under the same name, then SIGCONT of the old one",
    "broker-crash": "SIGKILL of Kafka, started again",
    "broker-restart": "Kafka stopped in order, started again",
    "broker-freeze": "SIGSTOP of Kafka past the session timeout, then SIGCONT",
    "broker-away": "Kafka stopped for 30 s",
    "add": "one worker more",
    "remove": "SIGTERM of a worker that does not come back",
    "connector-kill": "SIGKILL of the tool connector, restarted after a while",
    "connector-terminate": "SIGTERM of the tool connector, restarted",
    "connector-zombie": "SIGSTOP of the tool connector past the session timeout, then SIGCONT",
}


@dataclass(frozen=True)
class Fault:
    """One fault. Seconds from the start of the run."""

    at: float
    kind: str
    whom: float
    """Which of the workers that are up: 0 is the first, just under 1 the last."""
    lasts: float
    """Of pauses and zombies: how long it is stopped; of kill and terminate: how long until it is started again."""


def schedule(rng: random.Random, count: int, span_s: float, session_s: float) -> list[Fault]:
    """`count` faults over about `span_s` seconds."""
    kinds = [kind for kind in SHARES if kind != "broker-away" or count >= 20]
    spare = count - len(kinds)
    if spare < 0:
        raise ValueError(f"{count} faults; expected at least {len(kinds)}, one of each kind")
    weights = {kind: SHARES[kind] - 1 for kind in kinds}
    total = sum(weights.values())
    deck = kinds + [kind for kind in kinds for _ in range(spare * weights[kind] // total)]
    while len(deck) < count:
        deck.append(rng.choice(["kill", "terminate", "zombie", "connector-kill"]))
    rng.shuffle(deck)
    # The one that joins stays until one leaves, whichever that is.
    add, remove = sorted((deck.index("add"), deck.index("remove")))
    deck[add], deck[remove] = "add", "remove"
    moments = sorted(rng.uniform(0, span_s) for _ in deck)
    lasting = {
        "pause": (0.3, 0.8 * session_s),
        "zombie": (session_s + 1, 2.2 * session_s),
        "broker-freeze": (session_s + 1, 2 * session_s),
        "replace": (1.0, 2 * session_s),
        "kill": (0.0, 0.5 * session_s),
        "connector-kill": (0.0, 0.5 * session_s),
        "connector-zombie": (session_s + 1, 2.2 * session_s),
    }
    faults = []
    for at, kind in zip(moments, deck, strict=True):
        lasts = rng.uniform(*lasting.get(kind, (0.0, 1.0)))
        if kind in ("kill", "connector-kill") and rng.random() < 0.2:
            lasts += 1.2 * session_s  # long enough that others take over even from a static member
        faults.append(Fault(at, kind, rng.random(), 30.0 if kind == "broker-away" else lasts))
    return faults
