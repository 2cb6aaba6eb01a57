"""One pass over the records of the topics: which unit each names as its writer, and which batch."""

from collections.abc import Mapping

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.core.records import CUT, SEAL, Headers
from endocrine.pipeline.replay.output_streams import Index, digest_of
from endocrine.pipeline.replay.plan import Plan
from endocrine.pipeline.replay.provenance import NO_BATCH, origin_of
from endocrine.pipeline.replay.record_log import RecordLog
from endocrine.pipeline.replay.report import Report, Scope
from endocrine.pipeline.replay.serialized import ending, unpacked

Latest = dict[tuple[str, int], dict[bytes, int]]
"""Of compacted topics with holes: the last offset of each key, by its digest."""


def key_digest(key: bytes | None) -> bytes:
    """Return 16 bytes that identify a key."""
    return digest_of((key, None, ()))


def latest_of(logs: Mapping[tuple[str, int], RecordLog]) -> Latest:
    """Return the last offset of each key, where compaction has taken records."""
    return {
        (topic, partition): {key_digest(raw.key): raw.offset for raw in log}
        for (topic, partition), log in logs.items()
        if topic in CATALOGUE and CATALOGUE[topic].cleanup == "compact" and topic != "policies" and not log.whole
    }


def fill(
    index: Index, logs: Mapping[tuple[str, int], RecordLog], plans: Mapping[str, Plan], scope: Scope, report: Report
) -> None:
    """Put every record of our making into its unit's output stream, as far as it is asked for."""
    for (topic, partition), log in logs.items():
        if topic in ("journal", "policies"):
            continue
        simple = scope.whole and not holds_dead_letters(topic)
        place, batch, ending = ("", topic, partition), NO_BATCH, None
        first = after = 0
        # Records from `first` up to `after` are of this batch and not in its stream yet.
        for offset, serialized in log.serialized_records():
            # Records of one batch lie side by side and end in the same headers, its cut among them, which holds all
            # that their origin would. What only pretends to be of the batch is found out when the stream is compared.
            if ending is not None and offset == after and serialized.endswith(ending):
                after += 1
                continue
            if after > first:
                report.records += after - first
                index.add(place, first, after - first, batch)
                first = after
            ending = None
            key, _, written = unpacked(serialized)
            headers = dict(written)
            origin = origin_of(topic, headers)
            if origin is None:
                continue
            plan = plans.get(origin.processor)
            if plan is None:
                report.records += 1
                named = f"{topic}/{partition} {origin.name} at offset {offset}"
                report.find("invented", f"{named} names no unit of ours")
            elif (
                plan.outside(origin.batch, origin.topic, origin.offset)
                or not (scope.whole or scope.wants(topic, key, headers))
                or (plan.ahead(origin.batch, origin.topic, origin.offset) and scope.coming(log.at(offset).timestamp))
            ):
                report.outside += 1
            else:
                place, batch = (origin.processor, topic, partition), origin.batch
                first, after = offset, offset + 1
                if simple and batch != NO_BATCH:
                    ending = _ending(written)
        if after > first:
            report.records += after - first
            index.add(place, first, after - first, batch)


def _ending(headers: Headers) -> bytes:
    """The cut and the headers that follow it, as they end each serialized record of the batch; from the seal on where
    there is one, so that a stranger's copy of the others does not pass for a record of the batch."""
    cut = next(place for place, (name, _) in enumerate(headers) if name in (CUT, SEAL))
    return ending(headers[cut:])
