"""Re-run every agent in journal order, from topics alone, and compare each derived record byte for byte.

Units (agent, partition) are independent of each other: what one reads of another it reads from the topics, as it did
live. Memory: the state of one unit, one batch, and a few bytes per batch and per record of the logs
(`pipeline.replay.spool`); what is to be compared lies in lanes, read beside the unit that wrote them.
"""

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO

import orjson

from agents.contract import Agent
from agents.policy.compiled import Policy
from pipeline.engine.wire import CE_ID, CUT, ORIGIN, REKEYED_FROM, Headers, Outgoing
from pipeline.replay.difference import Form, differences, form_of
from pipeline.replay.journals import UnitJournal, read_journal
from pipeline.replay.lanes import NO_BATCH, Entry, Index, Lane, digest_of
from pipeline.replay.logs import Logs
from pipeline.replay.origins import name_of, origin_of
from pipeline.replay.plan import Plan, plan_unit, units_of
from pipeline.replay.policies import check_policies
from pipeline.replay.report import Report, Scope
from pipeline.replay.rerun import Broken, Rerun
from pipeline.replay.resume import Resume
from pipeline.replay.spool import as_log
from pipeline.replay.state_files import Snapshots
from pipeline.topics import CATALOGUE
from schemas.proofs import JournalEntry

__all__ = ["Report", "Scope", "Verifier", "verified_topics"]
Sink = Callable[[Outgoing, Headers], None]
"""Given each record that was made again, and the headers it shares with its batch."""
ALL = Scope()
FIELDS = list(JournalEntry.model_fields)


class Verifier:
    """Holds what stands on the topics, and compares units with it.

    policy_of: compiled policy of a digest; raises KeyError when it was never published. progress: told which unit comes
    next. batches: told how many batches were run, and how many there are. spool: where to keep what is compared; in
    memory without it. resume: where to go on from, and to note how far this came. sink: gets what was made again.
    """

    def __init__(
        self,
        logs: Logs,
        policy_of: Callable[[str], Policy],
        *,
        partitions: int,
        max_record_bytes: int,
        progress: Callable[[str], None] = lambda unit: None,
        batches: Callable[[int, int], None] = lambda done, total: None,
        scope: Scope = ALL,
        snapshots: Snapshots | None = None,
        spool: BinaryIO | None = None,
        resume: Resume | None = None,
        sink: Sink | None = None,
    ) -> None:
        self.report = Report()
        self._logs = {place: as_log(log) for place, log in logs.items()}
        self._policy_of = policy_of
        self._partitions = partitions
        self._max_record_bytes = max_record_bytes
        self._progress, self._batches = progress, batches
        self._scope, self._snapshots = scope, snapshots or Snapshots()
        self._index = Index(io.BytesIO() if spool is None else spool)
        self._resume, self._sink = resume, sink
        self._whole = scope.whole
        self._latest: dict[tuple[str, int], dict[bytes, int]] = {}
        """Of compacted topics with holes: the last offset of each key, by its digest."""
        self._done = 0

    def run(self, agents: Sequence[Agent]) -> Report:
        """Verify all units of these agents."""
        check_policies(self._logs, self.report.find)
        plans = self._plan(agents)
        self._read_lanes(plans)
        self._index.close()
        wanted = [plan for plan in plans.values() if self._asked(plan)]
        total = sum(max(0, plan.last - plan.start.batch) for plan in wanted)
        finished: set[str] = set()
        inside = None
        if self._resume is not None and (saved := self._resume.load()) is not None:
            self.report, finished, inside = Report.from_plain(saved["report"]), set(saved["finished"]), saved["inside"]
        for plan in wanted:
            if plan.unit not in finished:
                self._progress(plan.unit)
                self._unit(plan, inside if inside and inside["unit"] == plan.unit else None, finished, total)
                finished.add(plan.unit)
                self._save(finished, None)
            else:
                self._done += max(0, plan.last - plan.start.batch)
        return self.report

    # ---- what there is ----

    def _plan(self, agents: Sequence[Agent]) -> dict[str, Plan]:
        journals: dict[str, UnitJournal] = {}
        for partition in range(self._partitions):
            journals |= read_journal(self._logs["journal", partition], partition, self.report.find)
        plans = {}
        for agent, partition in units_of(agents, self._partitions):
            unit = f"{agent.name}/{partition}"
            journal = journals.pop(unit, None) or UnitJournal(unit, self._logs["journal", partition])
            plans[unit] = plan_unit(agent, partition, journal, self._logs, self._scope, self._snapshots)
        for unit, journal in journals.items():
            told = f"{unit}: {len(journal.times)} batches of an agent that this code does not know"
            self.report.find("not verifiable", told)
        return plans

    def _read_lanes(self, plans: dict[str, Plan]) -> None:
        report, scope, add = self.report, self._scope, self._index.add
        for (topic, partition), log in self._logs.items():
            if topic in ("journal", "policies"):
                continue
            described = CATALOGUE.get(topic)
            latest = None
            if described is not None and described.cleanup == "compact" and not log.whole:
                latest = self._latest[topic, partition] = {}
            cut, place, batch = b"", ("", topic, partition), NO_BATCH
            simple = scope.whole and not topic.endswith(".dlq")
            for raw in log:
                if latest is not None:
                    latest[key_digest(raw.key)] = raw.offset
                if not raw.headers:
                    continue
                headers = dict(raw.headers)
                # Records of one batch lie side by side, and their cut says all that their origin would.
                if headers.get(CUT) == cut and ORIGIN in headers and CE_ID in headers and REKEYED_FROM not in headers:
                    report.records += 1
                    add(place, raw.offset, batch, digest_of((raw.key, raw.value, raw.headers)))
                    continue
                cut = b""
                origin = origin_of(topic, headers)
                if origin is None:
                    continue
                plan = plans.get(origin.unit)
                if plan is None:
                    report.records += 1
                    told = f"{topic}/{partition} {origin.name} at offset {raw.offset} names no unit of ours"
                    report.find("invented", told)
                elif plan.outside(origin.batch, origin.topic, origin.offset) or not (
                    scope.whole or scope.wants(topic, raw.key, headers)
                ):
                    report.outside += 1
                else:
                    report.records += 1
                    place, batch = (origin.unit, topic, partition), origin.batch
                    add(place, raw.offset, batch, digest_of((raw.key, raw.value, raw.headers)))
                    if simple and batch != NO_BATCH:
                        cut = headers[CUT]

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
        return home or bool(self._index.of(plan.unit))

    # ---- one unit ----

    def _unit(self, plan: Plan, inside: dict[str, Any] | None, finished: set[str], total: int) -> None:
        report, unit = self.report, plan.unit
        report.starts[unit] = plan.start.told
        lanes = {
            (topic, partition): Lane(
                self._index,
                (unit, topic, partition),
                partial(self._name_at, topic, partition),
                partial(self._copy, topic, partition),
            )
            for topic, partition in self._index.of(unit)
        }
        spoken: dict[tuple[str, int], int] = {}
        run = Rerun(
            plan.agent,
            plan.partition,
            plan.start,
            self._logs,
            partitions=self._partitions,
            max_record_bytes=self._max_record_bytes,
        )
        if inside is not None:
            run.load(inside["run"])
            spoken.update({(topic, place): offset for topic, place, offset in inside["spoken"]})
            for topic, partition, dumped in inside["lanes"]:
                lanes[topic, partition].load(dumped)
            self._done += run.batch - plan.start.batch
        broken = plan.broken
        if broken is not None and plan.last > plan.start.batch:
            report.find(broken.kind, str(broken))
        try:
            for batch in range(run.batch + 1, plan.last + 1) if broken is None else ():
                self._batch(plan, run, batch, lanes, spoken)
                self._done += 1
                self._batches(self._done, total)
                if self._resume is not None and batch % self._resume.every == 0:
                    self._save(finished, self._dump(run, lanes, spoken))
        except Broken as error:
            broken = error
            report.find(error.kind, str(error))
        self._finish(plan, run, broken, lanes)

    def _batch(
        self,
        plan: Plan,
        run: Rerun,
        batch: int,
        lanes: dict[tuple[str, int], Lane],
        spoken: dict[tuple[str, int], int],
    ) -> None:
        report, unit = self.report, plan.unit
        raw = plan.journal.raw(batch)
        entry = orjson.loads(raw.value)
        records = run.inputs(entry)
        if not run.intact(records, entry):
            reads = ", ".join(
                f"{topic}/{plan.partition} {first} to {first + n - 1}" for topic, first, n in entry["runs"]
            )
            report.find("inputs changed", f"{unit}: batch {batch} read something else than stands there now: {reads}")
        try:
            policy = self._policy_of(entry["policy"])
        except KeyError as error:
            told = f"{unit}: policy {entry['policy']} of batch {batch}: {error.args[0]}"
            raise Broken("not verifiable", told) from None
        done, common = run.think(records, entry, policy)
        report.batches += 1
        if batch < plan.first:
            return
        self._journaled(unit, raw, entry, common)
        for out in done.aside:
            self._compare(unit, out, (), lanes, NO_BATCH, None)
        for out in done.outputs:
            derived = out.derived
            self._compare(unit, out, common if derived else (), lanes, batch if derived else NO_BATCH, spoken)

    def _finish(self, plan: Plan, run: Rerun, broken: Broken | None, lanes: dict[tuple[str, int], Lane]) -> None:
        """Once a unit has said all: what nobody said, and what nobody read."""
        report, unit = self.report, plan.unit
        why = str(broken) if broken is not None else None
        if why is None and plan.journal.broken is not None:
            why = f"{unit}: its journal has a gap: {plan.journal.broken}"
        for (topic, partition), lane in lanes.items():
            rest = lane.rest()
            if why is not None:
                report.not_verifiable[why] = report.not_verifiable.get(why, 0) + len(rest)
                continue
            for entry in rest:
                report.find("invented", f"{self._shown(topic, partition, entry)}: no journaled batch says it")
        if why is None and not plan.until:
            for topic, offset in run.front.items():
                log = self._logs[topic, plan.partition]
                if log.place(offset) < len(log):
                    told = f"{topic}/{plan.partition} was read up to {offset}, it holds records up to {log.end - 1}"
                    report.find("missing", f"{unit}: {told}")

    def _journaled(self, unit: str, raw: Any, entry: dict[str, Any], common: Headers) -> None:
        """The journal record itself, apart from what the chain and the run say of it: its form, and its headers."""
        own = (
            ("ce_id", f"journal/{unit}/{entry['batch']}".encode()),
            ("ce_type", b"endocrine.journal.v1"),
            ("ce_subject", unit.encode()),
        )
        ordered = {name: entry[name] for name in FIELDS if name in entry}
        expected = (raw.key, orjson.dumps(ordered), (*own, *common))
        found = form_of(raw)
        if found != expected:
            self._differ(
                unit, "journal", raw.partition, f"journal/{unit}/{entry['batch']}", expected, found, raw.offset
            )

    def _compare(
        self,
        unit: str,
        out: Outgoing,
        common: Headers,
        lanes: dict[tuple[str, int], Lane],
        batch: int,
        spoken: dict[tuple[str, int], int] | None,
    ) -> None:
        report = self.report
        topic, partition, key, value, own, _ = out
        headers = (*own, *common)
        if not (self._whole or self._scope.wants(topic, key, dict(headers))):
            return
        report.compared += 1
        if self._sink is not None:
            self._sink(out, common)
        place = topic, partition
        lane, digest = lanes.get(place), digest_of((key, value, headers))
        found = None
        if lane is not None and (self._logs[place].whole or not self._plainly_absent(lane, batch)):
            found = lane.take(digest, lambda: _name(topic, headers))
        if lane is None or found is None:
            self._absent(unit, out, _name(topic, headers), lane, spoken)
            return
        if found.digest != digest:
            stands = form_of(self._logs[place].at(found.offset))
            self._differ(unit, *place, _name(topic, headers), (key, value, headers), stands, found.offset)
            return
        report.equal += 1
        if spoken is not None:
            if found.offset < spoken.get(place, -1):
                told = f"{self._shown(*place, found)} stands before what was thought earlier"
                report.find("out of order", f"{unit}: {told}")
            spoken[place] = found.offset

    # ---- findings ----

    @staticmethod
    def _plainly_absent(lane: Lane, batch: int) -> bool:
        """Where a topic has lost records: whether the lane is beyond this batch, so that searching it is vain."""
        return batch != NO_BATCH and lane.none_ahead and (lane.next is None or lane.next.batch > batch)

    def _absent(
        self, unit: str, out: Outgoing, name: str, lane: Lane | None, spoken: dict[tuple[str, int], int] | None
    ) -> None:
        place = (out.topic, out.partition)
        log, report = self._logs[place], self.report
        latest = self._latest.get(place, {}).get(key_digest(out.key), -1)
        if latest > (spoken or {}).get(place, -1):
            report.superseded += 1
        elif log.start > 0 and (lane is None or lane.untouched):
            told = f"{out.topic}/{out.partition} begins at offset {log.start}: what was before is gone by retention"
            report.not_verifiable[told] = report.not_verifiable.get(told, 0) + 1
        else:
            kind = "said twice" if lane is not None and lane.said(name) else "missing"
            report.find(kind, f"{unit}: {out.topic}/{out.partition} {name}")

    def _differ(
        self, unit: str, topic: str, partition: int, name: str, expected: Form, found: Form, offset: int
    ) -> None:
        fields = differences(expected, found)
        cause = dict(expected[2]).get(ORIGIN, b"").decode("utf-8", "replace")
        where = {"topic": topic, "partition": partition, "offset": offset, "id": name, "unit": unit, "origin": cause}
        first = "; ".join(f"{one['path']} is {one['found']!r}, expected {one['expected']!r}" for one in fields[:3])
        self.report.find("wrong", f"{unit}: {topic}/{partition} {name} at offset {offset}: {first}")
        self.report.differ(where, fields)

    def _copy(self, topic: str, partition: int, first: int, offset: int, equal: bool) -> None:
        self.report.copies += 1
        if not equal:
            raw = self._logs[topic, partition].at(offset)
            name = name_of(topic, dict(raw.headers))
            self.report.find("copies differ", f"{topic}/{partition} {name} at offsets {first} and {offset}")

    def _name_at(self, topic: str, partition: int, offset: int) -> str:
        return _name(topic, self._logs[topic, partition].at(offset).headers)

    def _shown(self, topic: str, partition: int, entry: Entry) -> str:
        raw = self._logs[topic, partition].at(entry.offset)
        return f"{topic}/{partition} {name_of(topic, dict(raw.headers))} at offset {entry.offset}"

    # ---- resuming ----

    def _dump(
        self, run: Rerun, lanes: dict[tuple[str, int], Lane], spoken: dict[tuple[str, int], int]
    ) -> dict[str, Any]:
        return {
            "unit": run.name,
            "run": run.dump(),
            "lanes": [[*place, lane.dump()] for place, lane in lanes.items()],
            "spoken": [[*place, offset] for place, offset in spoken.items()],
        }

    def _save(self, finished: set[str], inside: dict[str, Any] | None) -> None:
        if self._resume is not None:
            self._resume.save({"report": self.report.plain(), "finished": sorted(finished), "inside": inside})


def _name(topic: str, headers: Headers) -> str:
    return name_of(topic, dict(headers)) or "without a name"


def key_digest(key: bytes | None) -> bytes:
    """16 bytes that stand for a key."""
    return digest_of((key, None, ()))


def verified_topics() -> list[str]:
    """Every topic that verification needs."""
    return [*CATALOGUE, *(topic.dead_letters for topic in CATALOGUE.values() if topic.owner)]
