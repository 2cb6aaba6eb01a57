"""Three workers of another commit are restarted one by one as this one's, under load: `make upgrade-test`.

On a Kafka of its own. While inputs come in, each worker is asked to stop and its place is taken by one of this
checkout; partitions move between both versions meanwhile, in both directions. Then everything is proved from the topics
by this version: what both have written replays byte for byte, each input is where it was acknowledged, each was read
once.
"""

import argparse
import asyncio
import json
import logging
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from crew import Crew, Seat
from feed import Feed
from inputs import Crowd, Input
from releases import Release, release, this_release
from watch import Watch

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.process.seal_keys import load_seals, make_key_file
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.subprocesses import last_lines
from endocrine.pipeline.replay.logs import read_history
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.verify import Verifier, verified_topics

WORKERS, PARTITIONS = 3, 6
TAKEN_OVER = "taken over"
"""In the log of a worker that has its partitions."""
_LOOK_S = 0.5


class Rolling:
    """One run. findings: what is wrong, empty when all is proved."""

    def __init__(self, folder: Path, old: Release, new: Release, inputs: int, span_s: float) -> None:
        self.folder, self.old, self.new = folder, old, new
        self.inputs, self.span_s = inputs, span_s
        self.findings: list[str] = []
        self.report: dict[str, Any] = {
            "from": old.commit,
            "to": new.commit,
            "workers": WORKERS,
            "partitions": PARTITIONS,
        }

    async def run(self) -> None:
        """Feed, roll, prove."""
        async with KafkaNode(self.folder / "kafka") as node:
            settings = Settings(
                bootstrap=node.bootstrap,
                group="upgrade",
                prefix="upgrade.",
                partitions=PARTITIONS,
                data_dir=self.folder / "data",
                seal_key_file=self.folder / "seal.keys",
            )
            make_key_file(self.folder / "seal.keys")
            crew, watch = Crew(settings, self.folder, time.monotonic()), Watch(settings)
            supervising = asyncio.create_task(crew.supervise())  # starts again what ended by itself, as in production
            try:
                feed = await self._roll(settings, crew)
                await watch.start()
                await self._at_rest(watch)
                supervising.cancel()
                await crew.stop()
            finally:
                supervising.cancel()
                crew.kill()
                await watch.stop()
            self.findings += crew.findings
            self.report["ended_by_themselves"] = [f"{one.worker}: {one.code}: {one.because}" for one in crew.exits]
            await self._prove(settings, feed)

    async def _roll(self, settings: Settings, crew: Crew) -> Feed:
        for _ in range(WORKERS):
            crew.add(static=False, environment=self.old.environment)
        for seat in crew.seats:
            await self._taken_over(seat)
        crowd, known = Crowd(random.Random("upgrade"), 800, PARTITIONS), self.old.topics()

        def forever() -> Iterator[Input]:
            while True:
                if (one := crowd.input()).topic in known:
                    yield one

        feed = Feed(settings, random.Random("pace"), self.inputs, self.span_s)
        feeding = asyncio.create_task(feed.run(forever()))
        for n, seat in enumerate(crew.seats, 1):
            await self._until(lambda n=n: feed.acknowledged * (WORKERS + 1) >= self.inputs * n or feeding.done())
            assert seat.process is not None
            seat.busy = True
            seat.process.send_signal(signal.SIGTERM)
            code = await crew.must_end(seat, seat.process, "SIGTERM")
            if code:
                self.findings.append(
                    f"{seat.name} of {self.old.commit} ended with exit code {code} on SIGTERM:\n{last_lines(seat.log)}"
                )
            seat.environment = self.new.environment
            crew.start(seat)
            seat.busy = False
            await self._taken_over(seat)
            print(f"{seat.name}: {self.old.commit} -> {self.new.commit} at input {feed.acknowledged}", flush=True)
        await feeding
        self.report["inputs"] = {"sent": feed.sent, "acknowledged": feed.acknowledged, "refused": dict(feed.refused)}
        return feed

    async def _taken_over(self, seat: Seat) -> None:
        def ready() -> bool:
            return TAKEN_OVER in seat.log.read_text()

        await self._until(ready)

    async def _until(self, done: Any, limit_s: float = 300.0) -> None:
        deadline = time.monotonic() + limit_s
        while not done():
            if time.monotonic() > deadline:
                ends = "\n".join(f"{log.name}\n{last_lines(log)}" for log in sorted(self.folder.glob("*.log")))
                raise RuntimeError(f"nothing after {limit_s:.0f} s\n{ends}")
            await asyncio.sleep(_LOOK_S)

    async def _at_rest(self, watch: Watch, limit_s: float = 300.0) -> None:
        deadline, before, calm = time.monotonic() + limit_s, -1, 0
        while calm < 3:
            if time.monotonic() > deadline:
                raise RuntimeError(f"not at rest after {limit_s:.0f} s: {watch.behind()[:5]}")
            looked = await watch.look()
            calm = calm + 1 if looked and not watch.lag and watch.batches == before else 0
            before = watch.batches
            await asyncio.sleep(_LOOK_S)

    async def _prove(self, settings: Settings, feed: Feed) -> None:
        seals = RecordedSeals(load_seals(settings))
        spool = self.folder / "topics"
        spool.mkdir()
        logs = await read_history(settings, verified_topics(), seals, folder=spool)
        batches: Counter[str] = Counter()
        for (topic, _), log in logs.items():
            if topic == "journal":
                batches.update(orjson.loads(raw.value)["version"].rpartition("+")[2] for raw in log)
        policy_of = PolicyHistory(logs)  # the older version may have had fewer sections
        report = Verifier(logs, policy_of, partitions=PARTITIONS, sizes=settings.sizes, seals=seals).run(AGENTS)
        self.findings += feed.missing(logs)
        self.findings += [f"{kind}: {one}" for kind, found in report.findings.items() for one in list(found)[:5]]
        self.findings += [f"not verifiable: {one}" for one in list(report.not_verifiable)[:5]]
        if not report.proved and not self.findings:
            self.findings.append("replay does not prove the history")
        if len({self.old.commit, self.new.commit} & batches.keys()) < 2 and self.old.commit != self.new.commit:
            self.findings.append(f"batches of {sorted(batches)}; expected some of both versions")
        self.report |= {
            "journal_records": dict(sorted(batches.items())),
            "replayed_batches": report.batches,
            "records_compared": report.compared,
            "records_equal": report.equal,
            "seals_checked": report.seals_checked,
        }


async def run(folder: Path, ref: str, inputs: int, span_s: float) -> dict[str, Any]:
    """Run it; return the report."""
    begun = time.monotonic()
    with release(ref, folder) as old:
        rolling = Rolling(folder, old, this_release(), inputs, span_s)
        print(
            f"upgrade: three workers of {old.commit}, one by one to {rolling.new.commit}, {inputs} inputs", flush=True
        )
        await rolling.run()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    rolling.report["cpu_s"] = round(sum(one.ru_utime + one.ru_stime for one in used))
    rolling.report["seconds"] = round(time.monotonic() - begun)
    rolling.report["findings"] = rolling.findings
    return rolling.report


def main() -> int:
    """The command line."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--from", dest="ref", default="HEAD~1", help="the commit that is upgraded from")
    ask.add_argument("--inputs", type=int, default=6_000)
    ask.add_argument("--span", type=float, default=60.0, help="seconds in which the inputs come")
    given = ask.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left
    with tempfile.TemporaryDirectory(prefix="endocrine-upgrade-") as name:
        try:
            report = asyncio.run(run(Path(name), given.ref, given.inputs, given.span))
        except (ValueError, RuntimeError) as error:
            print(f"upgrade: {error}", file=sys.stderr)
            return 2
    print(json.dumps(report, indent=1))
    print("upgrade: NOT proved" if report["findings"] else "upgrade: nothing lost, each applied once, all proved")
    return 1 if report["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
