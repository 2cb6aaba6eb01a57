"""The states of all units as of one consistent cut, read from the changelogs while workers go on.

Units are read one after the other, so that one may have read an output that its writer, read before it, had not made
yet. Watermarks show it: no unit may have applied a record whose cause its writer has not read. A writer that is behind
is read again, until none is. So a writer that goes on from its state makes no record again that a reader has applied.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, Recovered, entries_of
from endocrine.pipeline.core.checkpoint import Checkpoint, decode_checkpoint
from endocrine.pipeline.core.outbox import Outbox, last_outbox, outboxes_to_produce
from endocrine.pipeline.kafka.clients import introduce, read_until, reader
from endocrine.pipeline.kafka.topic_layout import changelog_name
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.state_files import SnapshotError

ROUNDS = 50
"""Times that writers which are behind are read again before the cut is given up."""
_REKEYED = "re-keyed/"


class UnitState(NamedTuple):
    """One agent on one partition."""

    checkpoint: Checkpoint
    states: dict[str, bytes]
    last: Outbox
    owed: list[Outbox]
    """Those of batches that may not have been produced."""


class NoCut(Exception):
    """No consistent cut was found. The message says what to do."""


def behind(units: Mapping[str, UnitState], agents: Iterable[str]) -> set[str]:
    """Return the units of which another has read more than they have written. Pure."""
    known, found = set(agents), set[str]()
    for unit in units.values():
        for name, (offset, _) in unit.checkpoint.watermarks.items():
            writer, source = writer_of(name.partition("<")[2])
            if writer.partition("/")[0] in known and offset >= next_offset(units, writer, source):
                found.add(writer)
    return found


def writer_of(origin: str) -> tuple[str, str]:
    """Return the unit that wrote a record, and the topic of its cause. origin: as watermarks name it.

    >>> writer_of("gating/tool-calls/3"), writer_of("re-keyed/signals/1")
    (('gating/3', 'tool-calls'), ('modulation/1', 'signals'))
    """
    if origin.startswith(_REKEYED):
        source, _, partition = origin.removeprefix(_REKEYED).rpartition("/")
        agent = CATALOGUE[source].owner if source in CATALOGUE else None
    else:
        agent, source, partition = origin.split("/")
    return f"{agent}/{partition}", source


def next_offset(units: Mapping[str, UnitState], unit: str, topic: str) -> int:
    """Return the first offset of a topic that a unit has not read."""
    found = units.get(unit)
    return 0 if found is None else found.checkpoint.next_offsets.get(topic, 0)


async def read_cut(
    settings: Settings, agents: Iterable[str], progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, UnitState]:
    """Return the states of all units that have made a batch, by `agent/partition`.

    Raises NoCut when writers stay behind, SnapshotError when a changelog cannot be understood, TimeoutError and
    KafkaError.
    """
    names = list(agents)
    wanted = {f"{agent}/{n}" for agent in names for n in range(settings.partitions)}
    consumer = reader(settings, as_stored=True, longest=settings.changelog_message_bytes)
    try:
        await consumer.start()
        introduce(
            consumer,
            [TopicPartition(changelog_name(settings, agent), n) for agent in names for n in range(settings.partitions)],
        )
        return await cut_of(lambda unit: _read(consumer, settings, unit), wanted, names, progress)
    finally:
        await consumer.stop()


async def cut_of(
    read: Callable[[str], Awaitable[UnitState | None]],
    wanted: Iterable[str],
    agents: Iterable[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, UnitState]:
    """Return the states of these units, read until none is behind. read: the state of a unit now, or None.

    Raises NoCut.
    """
    names, units = list(agents), dict[str, UnitState]()
    due = sorted(wanted)
    for _ in range(ROUNDS):
        for done, unit in enumerate(due):
            progress(done, len(due))
            found = await read(unit)
            if found is not None:
                units[unit] = found
        due = sorted(behind(units, names))
        if not due:
            return units
    raise NoCut(f"no consistent cut in {ROUNDS} rounds: {', '.join(due[:3])} behind; try again when there is less load")


async def _read(consumer: AIOKafkaConsumer, settings: Settings, unit: str) -> UnitState | None:
    agent, _, number = unit.rpartition("/")
    place = TopicPartition(changelog_name(settings, agent), int(number))
    store: dict[bytes, bytes] = {}
    recovered = Recovered(store)
    first = (await consumer.beginning_offsets([place]))[place]
    end = (await consumer.end_offsets([place]))[place]
    async for found in read_until(consumer, {place: (first, end)}):
        for records in found.values():
            recovered.apply(entries_of(records))
    written = store.get(CHECKPOINT_KEY)
    if written is None:
        return None
    try:
        checkpoint = decode_checkpoint(written)
        last = last_outbox(checkpoint, store.get)
        owed = outboxes_to_produce(checkpoint, store.get)
    except ValueError as error:
        raise SnapshotError(f"{unit}: {place.topic}, partition {place.partition}, {error}") from None
    if last is None:
        return None
    states = {key[1:].decode(): state for key, state in sorted(store.items()) if key[:1] == b"s"}
    return UnitState(checkpoint, states, last, owed)
