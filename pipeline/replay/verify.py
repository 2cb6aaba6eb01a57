"""Re-run every agent in journal order, from topics alone, and compare each derived record byte for byte.

Units (agent, partition) are independent of each other: what one reads of another it reads from the topics, as it did
live. Memory: the state of one unit, one batch, and a few bytes per batch and per record of the logs
(`replay.record_log`); what is to be compared is indexed in streams (`index_builder`), read beside the unit that wrote
it (`comparison`).
"""

import gc
import io
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import orjson

from endocrine.agents.contract import Agent
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.catalogue import CATALOGUE, lasting_topics
from endocrine.pipeline.core.content_keys import KeyTable
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.malloc import without_collections
from endocrine.pipeline.replay.comparison import Comparison, Sink
from endocrine.pipeline.replay.index_builder import fill, latest_of
from endocrine.pipeline.replay.journals import ProcessorJournal, read_journal
from endocrine.pipeline.replay.logs import Logs
from endocrine.pipeline.replay.output_streams import Index
from endocrine.pipeline.replay.plan import Plan, plan_processor, units_of
from endocrine.pipeline.replay.policy_history import check_policies
from endocrine.pipeline.replay.recorded_seals import RecordedSeals, prepared
from endocrine.pipeline.replay.replayer import Replayer, ReplayError
from endocrine.pipeline.replay.report import Report, Scope
from endocrine.pipeline.replay.resume import Resume
from endocrine.pipeline.replay.serialized import packing
from endocrine.pipeline.replay.state_files import Snapshots

__all__ = ["Report", "Scope", "Sink", "Verifier", "verified_topics"]
ALL = Scope()


class Verifier:
    """Holds the records of the topics, and compares units with them.

    policy_of: compiled policy of a digest; raises KeyError when it was never published. progress: called with the unit
    that comes next. batches: called with the number of batches run, and of all. index_file: holds what is compared; in
    memory without it. resume: where to go on from, and to note how far this came. sink: gets what was made again.
    seals: what the logs were prepared with, or what lists of records are to be prepared with. keys: of content.
    """

    def __init__(
        self,
        logs: Logs,
        policy_of: Callable[[str], Policy],
        *,
        partitions: int,
        sizes: Sizes,
        progress: Callable[[str], None] = lambda processor: None,
        batches: Callable[[int, int], None] = lambda done, total: None,
        scope: Scope = ALL,
        snapshots: Snapshots | None = None,
        index_file: BinaryIO | None = None,
        resume: Resume | None = None,
        sink: Sink | None = None,
        seals: RecordedSeals | None = None,
        keys: KeyTable | None = None,
    ) -> None:
        self.report = Report()
        self._seals = RecordedSeals() if seals is None else seals
        self._keys = keys
        self._logs = prepared(logs, self._seals)
        self._policy_of = policy_of
        self._partitions = partitions
        self._sizes = sizes
        self._progress, self._batches = progress, batches
        self._scope, self._snapshots = scope, snapshots or Snapshots()
        self._index = Index(io.BytesIO() if index_file is None else index_file)
        self._resume, self._sink = resume, sink
        self._latest = latest_of(self._logs)
        self._done = 0

    def run(self, agents: Sequence[Agent]) -> Report:
        """Verify all units of these agents."""
        with without_collections():
            return self._run(agents)

    def _run(self, agents: Sequence[Agent]) -> Report:
        check_policies(self._logs, self.report.find)
        plans = self._plan(agents)
        fill(self._index, self._logs, plans, self._scope, self.report)
        self._index.close()
        wanted = [plan for plan in plans.values() if self._asked(plan)]
        total = sum(max(0, plan.last - plan.start.batch) for plan in wanted)
        finished: set[str] = set()
        inside = None
        if self._resume is not None and (saved := self._resume.load()) is not None:
            self.report, finished, inside = Report.from_plain(saved["report"]), set(saved["finished"]), saved["inside"]
        for plan in wanted:
            if plan.processor not in finished:
                self._progress(plan.processor)
                gc.collect()
                self._processor(plan, inside if inside and inside["unit"] == plan.processor else None, finished, total)
                finished.add(plan.processor)
                self._save(finished, None)
            else:
                self._done += max(0, plan.last - plan.start.batch)
        self._report_seals()
        return self.report

    def _report_seals(self) -> None:
        report, seals = self.report, self._seals
        report.seals_checked = seals.checked if seals.keyed else None
        report.seals_unknown, report.seals_foreign = seals.unknown, seals.foreign
        for place in seals.wrong:
            report.find("seal", f"{place}: not the seal that its key gives, though the record counted as ours")

    # ---- what there is ----

    def _plan(self, agents: Sequence[Agent]) -> dict[str, Plan]:
        journals: dict[str, ProcessorJournal] = {}
        for partition in range(self._partitions):
            journals |= read_journal(
                self._logs["journal", partition], partition, self.report.find, self._snapshots.restored_from
            )
        plans = {}
        for agent, partition in units_of(agents, self._partitions):
            processor = f"{agent.name}/{partition}"
            journal = journals.pop(processor, None) or ProcessorJournal(processor, self._logs["journal", partition])
            plans[processor] = plan_processor(agent, partition, journal, self._logs, self._scope, self._snapshots)
        for processor, journal in journals.items():
            detail = f"{processor}: {len(journal.times)} batches of an agent that this code does not know"
            self.report.find("not verifiable", detail)
        return plans

    def _asked(self, plan: Plan) -> bool:
        """Whether a unit can have written, or read, what is asked for."""
        scope, agent = self._scope, plan.agent
        if scope.topics is not None:
            own = {topic.dead_letters for topic in CATALOGUE.values() if topic.owner == agent.name}
            if not scope.topics & {*agent.sources, *agent.targets, *own, "journal"}:
                return False
        if scope.identity is None:
            return True
        home = plan.partition == self._snapshots.home(scope.identity, self._partitions)
        return home or bool(self._index.of(plan.processor))

    # ---- one unit ----

    def _processor(self, plan: Plan, inside: dict[str, Any] | None, finished: set[str], total: int) -> None:
        report = self.report
        report.starts[plan.processor] = plan.start.origin
        run = Replayer(
            plan.agent,
            plan.partition,
            plan.start,
            self._logs,
            partitions=self._partitions,
            sizes=self._sizes,
            keys=self._keys,
        )
        comparison = Comparison(plan, self._logs, self._index, report, self._scope, self._latest, self._sink, run.lost)
        if inside is not None:
            run.load(inside["run"])
            comparison.load(inside["lanes"])
            self._done += run.batch - plan.start.batch
        broken = plan.broken
        if broken is not None and plan.last > plan.start.batch:
            report.find(broken.kind, str(broken))
        try:
            for batch in range(run.batch + 1, plan.last + 1) if broken is None else ():
                self._batch(plan, run, batch, comparison)
                self._done += 1
                self._batches(self._done, total)
                if self._resume is not None and batch % self._resume.every == 0:
                    self._save(finished, {"unit": run.name, "run": run.dump(), "lanes": comparison.dump()})
        except ReplayError as error:
            broken = error
            report.find(error.kind, str(error))
        comparison.finish(run, broken)

    def _batch(self, plan: Plan, run: Replayer, batch: int, comparison: Comparison) -> None:
        report, processor = self.report, plan.processor
        raw = plan.journal.raw(batch)
        entry = orjson.loads(raw.value)
        records = run.inputs(entry)
        if not run.intact(records, entry):
            reads = ", ".join(
                f"{topic}/{plan.partition} {first} to {first + n - 1}" for topic, first, n in entry["runs"]
            )
            report.find("inputs changed", f"{processor}: batch {batch} read something else than is there now: {reads}")
        try:
            policy = self._policy_of(entry["policy"])
        except KeyError as error:
            detail = f"{processor}: policy {entry['policy']} of batch {batch}: {error.args[0]}"
            raise ReplayError("not verifiable", detail) from None
        common = run.common_headers(entry, policy)
        done = run.process(records, entry, policy, packing(common))
        report.batches += 1
        if batch >= plan.first:
            comparison.journal(raw, entry, common)
            comparison.batch(batch, done)

    def _save(self, finished: set[str], inside: dict[str, Any] | None) -> None:
        if self._resume is not None:
            self._resume.save({"report": self.report.plain(), "finished": sorted(finished), "inside": inside})


def verified_topics() -> list[str]:
    """Return every topic that verification needs."""
    return lasting_topics()
