"""Figures of the doors: from answers to percentiles, and from percentiles to targets."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.figures import percentile
from bench.http_load import Timing
from bench.latency import queue_growth

Cpu = tuple[float, float]
"""Milliseconds of processor time a request: of the server, and of the processes that work for it."""
Figures = dict[str, float]
Found = dict[str, dict[str, Figures]]
"""By server and rate."""
GROWS = 1.5
"""A queue grows where the median of the last quarter is above that of the first by more."""
OURS, THEIRS = "gateway", "litellm"


class Judged(NamedTuple):
    """One target."""

    measure: str
    measured: str
    target: str
    met: bool | None
    """None: not measured."""


def _shares(name: str, values: Sequence[float]) -> Figures:
    if not values:
        return {}
    return {f"{name}_p50": round(percentile(values, 0.5), 2), f"{name}_p99": round(percentile(values, 0.99), 2)}


def _common(answers: Sequence[Timing], cpu: Cpu) -> Figures:
    good = sum(200 <= answer.status < 300 for answer in answers)
    growth = queue_growth([answer.total for answer in answers])
    return {"good": round(good / len(answers), 4), "queue": round(growth, 2), "cpu": round(cpu[0], 2)} | (
        {"cpu_others": round(cpu[1], 2)} if cpu[1] else {}
    )


def turn_figures(answers: Sequence[Timing], cpu: Cpu) -> Figures:
    """Of `POST /v1/turns`: the door's own share and its hops, of answers whose decision came in time."""
    known = [answer for answer in answers if not answer.late]
    found = _shares("own", [answer.own for answer in known]) | _shares("total", [answer.total for answer in answers])
    for hop in ("ack", "decide", "deliver"):
        if any(hop in answer.hops for answer in known):
            found |= _shares(hop, [answer.hops.get(hop, 0.0) for answer in known])
    return found | _shares("parse", [answer.parse for answer in known]) | _common(answers, cpu)


def proxy_figures(answers: Sequence[Timing], in_model: Mapping[int, float], cpu: Cpu) -> Figures:
    """Of chat completions: what the proxy adds to the model server's time, and ours by hops.

    `rest`: what is added beside the modulation's hops, so the model's request and reply through Kafka, and judging.
    """
    known = [answer for answer in answers if answer.number in in_model and 200 <= answer.status < 300]
    added = {answer.number: answer.total - in_model[answer.number] for answer in known}
    found = _shares("added", list(added.values()))
    hops = [answer for answer in known if answer.hops]
    for hop in ("ack", "decide", "deliver"):
        found |= _shares(hop, [answer.hops.get(hop, 0.0) for answer in hops])
    found |= _shares("rest", [added[answer.number] - sum(answer.hops.values()) for answer in hops])
    return found | _shares("model", [in_model[answer.number] for answer in known]) | _common(answers, cpu)


def holds(figures: Figures) -> bool:
    """Whether a server holds a rate: every request answered, and no queue that grows."""
    return figures["good"] == 1.0 and figures["queue"] <= GROWS


def judged(found: Mapping[str, Found]) -> list[Judged]:
    """Targets of the doors with what was measured. found: by part, see bench.gateway."""
    own = found.get("turns", {}).get(OURS, {}).get("200", {})
    rows = [_below(f"own share at 200/s, {which}, ms", own.get(f"own_{which}"), most) for which, most in OWN.items()]
    ours, theirs = (found.get("proxy", {}).get(name, {}) for name in (OURS, THEIRS))
    for which in ("p50", "p99"):
        mine, other = (side.get("50", {}).get(f"added_{which}") for side in (ours, theirs))
        rows.append(_below(f"added at 50/s beside LiteLLM's, {which}, ms", mine, other))
    fast = ours.get("300")
    shown = "" if fast is None else f"{fast['good']:.0%} answered, queue x{fast['queue']:g}"
    rows.append(Judged("holds 300/s", shown, f"all, queue x{GROWS:g}", None if fast is None else holds(fast)))
    return rows


OWN = {"p50": 3.0, "p99": 10.0}


def _below(measure: str, value: float | None, most: float | None) -> Judged:
    met = None if value is None or most is None else value <= most
    return Judged(measure, "" if value is None else f"{value:.2f}", "" if most is None else f"<= {most:g}", met)
