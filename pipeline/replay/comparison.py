"""One unit: what it says when it is run again, against what stands on its lanes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from pipeline.engine.batch import Processed
from pipeline.engine.wire import ORIGIN, Headers, Outgoing
from pipeline.replay.difference import Form, differences, form_of
from pipeline.replay.indexing import Latest, key_digest
from pipeline.replay.lanes import Index, Lane
from pipeline.replay.origins import NO_BATCH, called
from pipeline.replay.plan import Plan
from pipeline.replay.report import Report, Scope
from pipeline.replay.rerun import Broken, Rerun
from pipeline.replay.spool import Log, packed
from schemas.proofs import JournalEntry

Sink = Callable[[Outgoing, Headers], None]
"""Given each record that was made again, and the headers it shares with its batch."""
_FIELDS = list(JournalEntry.model_fields)


class Comparison:
    """Tells the report what is equal and what is not. latest: of topics that compaction has taken records from."""

    def __init__(
        self,
        plan: Plan,
        logs: Mapping[tuple[str, int], Log],
        index: Index,
        report: Report,
        scope: Scope,
        latest: Latest,
        sink: Sink | None,
    ) -> None:
        self.report = report
        self._plan, self._unit, self._logs = plan, plan.unit, logs
        self._scope, self._whole, self._latest, self._sink = scope, scope.whole, latest, sink
        self._lanes = {
            place: Lane(index, (plan.unit, *place), logs[place], partial(self._copy, *place))
            for place in index.of(plan.unit)
        }

    # ---- while it runs ----

    def batch(self, entry: Mapping[str, Any], done: Processed, common: Headers) -> None:
        """What a batch says, in the order in which it was said."""
        for out in done.aside:
            self._compare(out, (), NO_BATCH, ordered=False)
        number = entry["batch"]
        for out in self._out_of_step(done.outputs, common) if self._whole and self._sink is None else done.outputs:
            derived = out.derived
            self._compare(out, common if derived else (), number if derived else NO_BATCH, ordered=True)

    def _out_of_step(self, outputs: Sequence[Outgoing], common: Headers) -> Sequence[Outgoing]:
        """Compares those that stand next on their lanes, many at once; returns the others."""
        told: dict[tuple[str, int], list[bytes]] = {}
        for topic, partition, key, value, own, derived in outputs:
            body = packed(key, value, (*own, *common) if derived else own)
            if (bodies := told.get((topic, partition))) is None:
                told[topic, partition] = [body]
            else:
                bodies.append(body)
        taken: dict[tuple[str, int], int] = {}
        rest = 0
        for place, bodies in told.items():
            lane = self._lanes.get(place)
            offsets = lane.take(bodies) if lane is not None else ()
            if lane is not None and offsets:
                lane.spoken = offsets[-1]
            taken[place] = len(offsets)
            rest += len(bodies) - len(offsets)
        self.report.compared += len(outputs) - rest
        self.report.equal += len(outputs) - rest
        if not rest:
            return ()
        others = []
        for out in outputs:
            place = (out.topic, out.partition)
            if taken[place]:
                taken[place] -= 1
            else:
                others.append(out)
        return others

    def journal(self, raw: Any, entry: Mapping[str, Any], common: Headers) -> None:
        """The journal record itself, apart from what the chain and the run say of it: its form, and its headers."""
        named = f"journal/{self._unit}/{entry['batch']}"
        own = (
            ("ce_id", named.encode()),
            ("ce_type", b"endocrine.journal.v1"),
            ("ce_subject", self._unit.encode()),
        )
        ordered = {name: entry[name] for name in _FIELDS if name in entry}
        expected = (raw.key, orjson.dumps(ordered), (*own, *common))
        found = form_of(raw)
        if found != expected:
            self._differ("journal", raw.partition, named, expected, found, raw.offset)

    def _compare(self, out: Outgoing, common: Headers, batch: int, *, ordered: bool) -> None:
        report = self.report
        topic, partition, key, value, own, _ = out
        headers = (*own, *common)
        if not (self._whole or self._scope.wants(topic, key, dict(headers))):
            return
        report.compared += 1
        if self._sink is not None:
            self._sink(out, common)
        lane = self._lanes.get((topic, partition))
        form = key, value, headers
        if lane is None:
            self._absent(out, form, None, ordered)
            return
        if there := lane.take([packed(*form)]):
            offset = there[0]
        else:
            # Where a topic has lost records, a lane that is beyond the batch need not be searched.
            found = lane.search(form) if lane.log.whole or not lane.is_past(batch) else None
            if found is None:
                self._absent(out, form, lane, ordered)
                return
            offset = found.offset
            stands = form_of(lane.log.at(offset))
            if stands != form:
                self._differ(topic, partition, called(topic, headers), form, stands, offset)
                return
        report.equal += 1
        if ordered:
            if offset < lane.spoken:
                told = f"{self._shown(topic, partition, offset)} stands before what was thought earlier"
                report.find("out of order", f"{self._unit}: {told}")
            lane.spoken = offset

    # ---- once it has said all ----

    def finish(self, run: Rerun, broken: Broken | None) -> None:
        """What nobody said, and what nobody read."""
        report, unit, plan = self.report, self._unit, self._plan
        why = str(broken) if broken is not None else None
        if why is None and plan.journal.broken is not None:
            why = f"{unit}: its journal has a gap: {plan.journal.broken}"
        for (topic, partition), lane in self._lanes.items():
            rest = lane.rest()
            if why is not None:
                report.not_verifiable[why] = report.not_verifiable.get(why, 0) + len(rest)
                continue
            for offset in rest:
                report.find("invented", f"{self._shown(topic, partition, offset)}: no journaled batch says it")
        if why is None and not plan.until:
            for topic, offset in run.front.items():
                log = self._logs[topic, plan.partition]
                if log.place(offset) < len(log):
                    told = f"{topic}/{plan.partition} was read up to {offset}, it holds records up to {log.end - 1}"
                    report.find("missing", f"{unit}: {told}")

    # ---- findings ----

    def _absent(self, out: Outgoing, form: Form, lane: Lane | None, ordered: bool) -> None:
        place = (out.topic, out.partition)
        log, report = self._logs[place], self.report
        latest = self._latest.get(place, {}).get(key_digest(out.key), -1)
        if latest > (lane.spoken if lane is not None and ordered else -1):
            report.superseded += 1
        elif log.start > 0 and (lane is None or lane.untouched):
            told = f"{out.topic}/{out.partition} begins at offset {log.start}: what was before is gone by retention"
            report.not_verifiable[told] = report.not_verifiable.get(told, 0) + 1
        else:
            name = called(out.topic, form[2])
            kind = "said twice" if lane is not None and lane.said(name) else "missing"
            report.find(kind, f"{self._unit}: {out.topic}/{out.partition} {name}")

    def _differ(self, topic: str, partition: int, name: str, expected: Form, found: Form, offset: int) -> None:
        unit = self._unit
        fields = differences(expected, found)
        cause = dict(expected[2]).get(ORIGIN, b"").decode("utf-8", "replace")
        where = {"topic": topic, "partition": partition, "offset": offset, "id": name, "unit": unit, "origin": cause}
        first = "; ".join(f"{one['path']} is {one['found']!r}, expected {one['expected']!r}" for one in fields[:3])
        self.report.find("wrong", f"{unit}: {topic}/{partition} {name} at offset {offset}: {first}")
        self.report.differ(where, fields)

    def _copy(self, topic: str, partition: int, first: int, offset: int, equal: bool) -> None:
        self.report.copies += 1
        if not equal:
            name = called(topic, self._logs[topic, partition].at(offset).headers)
            self.report.find("copies differ", f"{topic}/{partition} {name} at offsets {first} and {offset}")

    def _shown(self, topic: str, partition: int, offset: int) -> str:
        raw = self._logs[topic, partition].at(offset)
        return f"{topic}/{partition} {called(topic, raw.headers)} at offset {offset}"

    # ---- resuming ----

    def dump(self) -> Any:
        """Where the lanes stand, for `load`."""
        return [[*place, lane.dump()] for place, lane in self._lanes.items()]

    def load(self, dumped: Any) -> None:
        """Go on from what `dump` gave."""
        for topic, partition, lane in dumped:
            self._lanes[topic, partition].load(lane)
