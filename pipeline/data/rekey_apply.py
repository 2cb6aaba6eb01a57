"""Carrying a planned re-key out: adopt everything, checked first, then retire what was moved (memory, section 2).

Until the last state is retired both are there, so a run that ends early loses nothing; the next one finishes it. What
is sent is not resolved: `adopt` lies under the id, `retire` under the old name literally.
"""

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from endocrine.agents.registry import COMMANDED
from endocrine.agents.rekeying import MOVERS, REKEYS
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.data.commands import SOURCE, Outcomes
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.data.rekey_plan import Plan
from endocrine.pipeline.process.settings import Settings

Json = dict[str, Any]
AT_ONCE = 200
"""Commands sent before their answers are waited for."""
Ended = Literal["done", "refused", "incomplete"]


@dataclass
class Applied:
    """What became of a re-key."""

    ended: Ended
    reason: str = ""
    """Why it did not get to its end."""
    outcomes: Counter[str] = field(default_factory=Counter)
    refused: list[Json] = field(default_factory=list)
    """Answers that ended it: agent, key, outcome, reason."""

    def as_json(self) -> Json:
        """Return the part of the report."""
        return {
            "ended": self.ended,
            "reason": self.reason,
            "outcomes": dict(sorted(self.outcomes.items())),
            "refused": self.refused,
        }


def adoptions(plan: Plan, *, by: str, ts: float, check: bool) -> Iterator[Json]:
    """Yield the commands that make the id adopt what lies under the old names, agent by agent.

    ts: event time, seconds.
    """
    for agent in MOVERS:
        for one in plan.transfers:
            if one.agent == agent:
                yield {
                    "id": f"rekey-{uuid.uuid4().hex}",
                    "identity": one.subject,
                    "kind": "adopt",
                    "rekey_id": plan.rekey_id,
                    "agent": agent,
                    "key": one.key,
                    "old": one.old,
                    "state": one.state,
                    "digest_old": one.digest_old,
                    "digest_new": one.digest_new,
                    "check": check,
                    "by": by,
                    "ts": ts,
                }


def retirements(plan: Plan, *, by: str, ts: float) -> Iterator[Json]:
    """Yield the commands that end what was moved, and what does not move."""
    for one in plan.retirements:
        yield {
            "id": f"rekey-{uuid.uuid4().hex}",
            "identity": one.old,
            "kind": "retire",
            "rekey_id": plan.rekey_id,
            "agent": one.agent,
            "key": one.key,
            "digest_old": one.digest_old,
            "by": by,
            "ts": ts,
        }


async def apply_plan(settings: Settings, plan: Plan, *, by: str, within_s: float) -> Applied:
    """Carry a plan out that is not refused, and name the step at which it ended.

    within_s: seconds that the answers of `AT_ONCE` commands may take. Raises ProduceError and KafkaError.
    """
    ts = time.time()
    named = {*(one.subject for one in plan.transfers), *(one.old for one in plan.retirements)}
    places = {partition_of(name, settings.partitions) for name in named}
    applied = Applied("done")
    async with Outcomes(settings, REKEYS, sorted(places)) as answers:
        checks = adoptions(plan, by=by, ts=ts, check=True)
        if not await _all(settings, answers, checks, {"possible", "unchanged"}, applied, within_s):
            applied.ended = "refused" if applied.refused else "incomplete"
            applied.reason += "; nothing was changed"
            return applied
        steps = (
            (adoptions(plan, by=by, ts=ts, check=False), {"adopted", "unchanged"}, "; nothing was retired"),
            (retirements(plan, by=by, ts=ts), {"retired", "absent"}, ""),
        )
        for commands, good, so_far in steps:
            if not await _all(settings, answers, commands, good, applied, within_s):
                applied.ended = "incomplete"
                applied.reason += f"{so_far}; run it again"
                return applied
    return applied


async def _all(
    settings: Settings, answers: Outcomes, commands: Iterator[Json], good: set[str], applied: Applied, within_s: float
) -> bool:
    """Send the commands and take their answers in; whether all are good. One agent's come before the next one's are
    sent: a slot's conflict marks memories that must be there."""
    part: list[Json] = []
    for command in commands:
        if part and (len(part) == AT_ONCE or part[-1]["agent"] != command["agent"]):
            if not await _answered(settings, answers, part, good, applied, within_s):
                return False
            part = []
        part.append(command)
    return not part or await _answered(settings, answers, part, good, applied, within_s)


async def _answered(
    settings: Settings, answers: Outcomes, part: Sequence[Json], good: set[str], applied: Applied, within_s: float
) -> bool:
    waiting: dict[str, Mapping[str, Any]] = {one["id"]: one for one in part}
    headers = {"ce_source": SOURCE}
    lines = [{"topic": COMMANDED[value["agent"]], "value": value, "headers": headers} for value in part]
    await produce(lines, settings)
    deadline = time.monotonic() + within_s
    while waiting and (left := deadline - time.monotonic()) > 0:
        for caused in await answers.next(left):
            command = waiting.pop(caused.command, None)
            if command is None:
                continue
            event = caused.event or {"outcome": "dead_letter", "reason": caused.refused}
            applied.outcomes[event["outcome"]] += 1
            if event["outcome"] not in good:
                named = {"agent": command["agent"], "key": command["key"]}
                applied.refused.append({**named, "outcome": event["outcome"], "reason": event["reason"]})
    if waiting:
        silent = ", ".join(islice(dict.fromkeys(one["agent"] for one in waiting.values()), 5))
        applied.reason = f"{len(waiting)} commands have no answer within {within_s:g} s, of {silent}"
    elif applied.refused:
        applied.reason = f"{len(applied.refused)} states were refused"
    return not waiting and not applied.refused
