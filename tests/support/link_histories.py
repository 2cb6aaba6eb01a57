"""Random histories about few identities that show few values, so that links are proposed, applied and ended."""

import random
from typing import Any

Line = dict[str, Any]
PEOPLE = ("ann", "bob", "cy", "éva")
DAY = 86_400.0
_SHOWN = (
    ("motor.digraph_simhash", ("00ff00ff00ff00ff", "00ff00ff00ff00fc", "ff00000000000000", "no simhash")),
    ("toolchain.c2.c2_callback_endpoint", ("203.0.113.9:443", "198.51.100.2:80")),
    ("toolchain.ssh.hassh_client", ("h1",)),
    ("toolchain.tls.jarm_server", ("j1",)),
    ("motor.input_modality", ("typed", "pasted")),
)
_COMMANDS = ("link_apply", "link_apply", "link_reverse", "link_dismiss")


def link_history(rng: random.Random, length: int, *, step_s: float = 2 * DAY) -> list[Line]:
    """`length` lines as `simulate` reads them; the same generator gives the same lines.

    step_s: the longest time between two, seconds.
    """
    lines, ts = list[Line](), 1_700_000_000.0
    for count in range(length):
        ts += rng.random() * step_s
        if rng.random() < 0.3:
            a, b = sorted(rng.sample(PEOPLE, 2))
            a, b = (b, a) if rng.random() < 0.1 else (a, b)
            value = {"kind": rng.choice(_COMMANDS), "identity": a, "b": b, "by": "op", "id": f"in-{count}", "ts": ts}
            lines.append({"topic": "commands", "value": value})
            continue
        primitive, values = rng.choice(_SHOWN)
        seen = ts - rng.choice([0.0, 0.0, 3 * DAY])
        value = {
            "primitive": primitive,
            "value": rng.choice(values),
            "confidence": 0.9,
            "source": "test",
            "identity_ref": rng.choice(PEOPLE),
            "v": 1,
            "window": {"start_ts": seen - 1, "end_ts": seen},
            "id": f"in-{count}",
            "ts": seen,
        }
        lines.append({"topic": "observations", "value": value})
        if rng.random() < 0.05:
            lines.append(lines[-1])  # a sensor that sends twice
    return lines
