"""One unit: what it produces when it is run again, against what its output streams contain."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from endocrine.pipeline.core.batch import Processed
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.core.journal import journal_headers, journal_id
from endocrine.pipeline.core.lost_states import LostStates
from endocrine.pipeline.core.records import ORIGIN, Headers
from endocrine.pipeline.replay.difference import Content, differences, form_of
from endocrine.pipeline.replay.index_builder import Latest, key_digest
from endocrine.pipeline.replay.output_streams import Index, OutputStream
from endocrine.pipeline.replay.plan import Plan
from endocrine.pipeline.replay.provenance import NO_BATCH, called
from endocrine.pipeline.replay.record_log import RecordLog
from endocrine.pipeline.replay.recorded_seals import RECORDED
from endocrine.pipeline.replay.replayer import Replayer, ReplayError
from endocrine.pipeline.replay.report import Report, Scope
from endocrine.pipeline.replay.serialized import PartitionKey, SerializedOutput, packed, unpacked
from endocrine.schemas.proofs import JournalEntry

Sink = Callable[[SerializedOutput], None]
"""Given each record that was made again."""
_FIELDS = list(JournalEntry.model_fields)


class Comparison:
    """Tells the report what is equal and what is not. latest: of topics that compaction has taken records from. lost:
    what cannot be made again."""

    def __init__(
        self,
        plan: Plan,
        logs: Mapping[tuple[str, int], RecordLog],
        index: Index,
        report: Report,
        scope: Scope,
        latest: Latest,
        sink: Sink | None,
        lost: LostStates,
    ) -> None:
        self.report = report
        self._lost = lost
        self._plan, self._processor, self._logs = plan, plan.processor, logs
        self._scope, self._whole, self._latest, self._sink = scope, scope.whole, latest, sink
        self._streams = {
            place: OutputStream(index, (plan.processor, *place), logs[place], partial(self._copy, *place), self._erased)
            for place in index.of(plan.processor)
        }

    # ---- while it runs ----

    def batch(self, number: int, done: Processed[SerializedOutput]) -> None:
        """Compare the outputs of a batch, in the order in which they were produced."""
        for out in done.rejected_or_rerouted:
            self._compare(out[:2], packed(*out[2:5]), NO_BATCH, ordered=False)
        for place, output in self._out_of_step(done.outputs) if self._whole and self._sink is None else done.outputs:
            self._compare(place, output, NO_BATCH if holds_dead_letters(place[0]) else number, ordered=True)

    def _out_of_step(self, outputs: Sequence[SerializedOutput]) -> Sequence[SerializedOutput]:
        """Compares those that are next in their streams, many at once; returns the others."""
        serialized: dict[PartitionKey, list[bytes]] = {}
        for place, output in outputs:
            if (some := serialized.get(place)) is None:
                serialized[place] = [output]
            else:
                some.append(output)
        taken: dict[PartitionKey, int] = {}
        for place, some in serialized.items():
            stream = self._streams.get(place)
            offsets = stream.take(some) if stream is not None else ()
            if stream is not None and offsets:
                stream.last_offset = offsets[-1]
            taken[place] = len(offsets)
        equal = sum(taken.values())
        self.report.compared += equal
        self.report.equal += equal
        if equal == len(outputs):
            return ()
        others = []
        for place, output in outputs:
            if taken[place]:
                taken[place] -= 1
            else:
                others.append((place, output))
        return others

    def journal(self, raw: Any, entry: Mapping[str, Any], common: Headers) -> None:
        """Compare the journal record itself, apart from what the chain and the run say of it: its form, and its
        headers."""
        ce_id = journal_id(self._processor, entry["batch"])
        named, own = ce_id.decode(), journal_headers(self._processor.encode(), ce_id, RECORDED)
        ordered = {name: entry[name] for name in _FIELDS if name in entry}
        expected = (raw.key, orjson.dumps(ordered), (*own, *common))
        found = form_of(raw)
        if found != expected:
            self._differ("journal", raw.partition, named, expected, found, raw.offset)

    def _compare(self, place: PartitionKey, output: bytes, batch: int, *, ordered: bool) -> None:
        report = self.report
        form = key, _, headers = unpacked(output)
        if not (self._whole or self._scope.wants(place[0], key, dict(headers))):
            return
        report.compared += 1
        if self._sink is not None:
            self._sink((place, output))
        stream = self._streams.get(place)
        if stream is None:
            self._absent(place, form, None, ordered)
            return
        if there := stream.take([output]):
            offset = there[0]
        else:
            # Where a topic has lost records, a stream that is beyond the batch need not be searched.
            found = stream.search(form) if stream.log.whole or not stream.is_past(batch) else None
            if found is None:
                self._absent(place, form, stream, ordered)
                return
            offset = found.offset
            recorded = form_of(stream.log.at(offset))
            if recorded != form:
                self._differ(*place, called(place[0], headers), form, recorded, offset)
                return
        report.equal += 1
        if ordered:
            if offset < stream.last_offset:
                detail = f"{self._shown(*place, offset)} lies before an earlier output"
                report.find("out of order", f"{self._processor}: {detail}")
            stream.last_offset = offset

    # ---- after its last batch ----

    def finish(self, run: Replayer, broken: ReplayError | None) -> None:
        """Report records that no batch produced, and inputs that no batch read."""
        report, processor, plan = self.report, self._processor, self._plan
        why = str(broken) if broken is not None else None
        if why is None and plan.journal.broken is not None:
            why = f"{processor}: its journal has a gap: {plan.journal.broken}"
        for (topic, partition), stream in self._streams.items():
            rest = stream.rest()
            if why is not None:
                report.not_verifiable[why] = report.not_verifiable.get(why, 0) + len(rest)
                continue
            for offset in rest:
                report.find("invented", f"{self._shown(topic, partition, offset)}: no journaled batch produces it")
        if why is None and not plan.until:
            for topic, offset in run.next_offsets.items():
                log = self._logs[topic, plan.partition]
                place = log.place(offset)
                if place == len(log):
                    continue
                if self._scope.coming(log[place].timestamp):
                    report.unread += len(log) - place
                    continue
                detail = f"{topic}/{plan.partition} was read up to {offset}, it holds records up to {log.end - 1}"
                report.find("missing", f"{processor}: {detail}")

    # ---- findings ----

    def _absent(self, place: PartitionKey, form: Content, stream: OutputStream | None, ordered: bool) -> None:
        topic, partition = place
        log, report = self._logs[place], self.report
        if topic in CATALOGUE and CATALOGUE[topic].coalesce and self._is_followed(log, form[0]):
            report.erased += 1
            return
        latest = self._latest.get(place, {}).get(key_digest(form[0]), -1)
        if latest > (stream.last_offset if stream is not None and ordered else -1):
            report.superseded += 1
        elif log.start > 0 and (stream is None or stream.untouched):
            detail = f"{topic}/{partition} begins at offset {log.start}: what was before is gone by retention"
            report.not_verifiable[detail] = report.not_verifiable.get(detail, 0) + 1
        else:
            name = called(topic, form[2])
            kind = "said twice" if stream is not None and stream.was_produced(name) else "missing"
            report.find(kind, f"{self._processor}: {topic}/{partition} {name}")

    def _differ(self, topic: str, partition: int, name: str, expected: Content, found: Content, offset: int) -> None:
        processor = self._processor
        fields = differences(expected, found)
        cause = (dict(expected[2]).get(ORIGIN) or b"").decode("utf-8", "replace")
        where = {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "id": name,
            "unit": processor,
            "origin": cause,
        }
        first = "; ".join(f"{one['path']} is {one['found']!r}, expected {one['expected']!r}" for one in fields[:3])
        self.report.find("wrong", f"{processor}: {topic}/{partition} {name} at offset {offset}: {first}")
        self.report.differ(where, fields)

    def _is_followed(self, log: RecordLog, key: bytes | None) -> bool:
        """Whether a record of this key was decided from erased content: in its batch it may have taken the place of
        one that was not."""
        return self._lost.any and any(
            raw.key == key and self._lost.covers((dict(raw.headers).get(ORIGIN) or b"").decode("utf-8", "replace"))
            for raw in log
        )

    def _erased(self, serialized: bytes) -> bool:
        if not self._lost.any:
            return False
        origin = dict(unpacked(serialized)[2]).get(ORIGIN) or b""
        if not self._lost.covers(origin.decode("utf-8", "replace")):
            return False
        self.report.erased += 1
        return True

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
        """Return the positions in the streams, for `load`."""
        return [[*place, stream.dump()] for place, stream in self._streams.items()]

    def load(self, dumped: Any) -> None:
        """Go on from what `dump` gave."""
        for topic, partition, stream in dumped:
            self._streams[topic, partition].load(stream)
