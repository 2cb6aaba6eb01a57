"""One unit run again, batch by batch, from the inputs its journal lists."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from endocrine.agents.contract import Agent
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.batch import Engine, Processed
from endocrine.pipeline.core.content_keys import KeyTable, KeyUnknown
from endocrine.pipeline.core.decoded_states import StateBudget
from endocrine.pipeline.core.journal import inputs_digest
from endocrine.pipeline.core.lost_states import LostStates
from endocrine.pipeline.core.records import Headers, OutputRecord
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.core.states import keep
from endocrine.pipeline.core.watermarks import Watermarks
from endocrine.pipeline.replay.read_ahead import records as window_on
from endocrine.pipeline.replay.record_log import MissingRecords, RecordLog
from endocrine.pipeline.replay.recorded_chains import RecordedChains
from endocrine.pipeline.replay.recorded_keys import RecordedKeys
from endocrine.pipeline.replay.recorded_seals import ConstantSeals

BEGINNING = "the beginning"
_NO_KEYS = "the file of content keys is needed (ENDOCRINE_CONTENT_KEY_FILE)"
T = TypeVar("T")


class ReplayError(Exception):
    """A unit's history cannot be followed further. kind: of the finding."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass
class StartingPoint:
    """Where a unit's run begins: after batch `batch`, with the state of then."""

    batch: int = 0
    states: dict[str, bytes] = field(default_factory=dict)
    watermarks: Watermarks = field(default_factory=dict)
    next_offsets: dict[str, int] = field(default_factory=dict)
    journal: str | None = None
    """SHA-256 of the journal record of that batch."""
    origin: str = BEGINNING
    """Where this is from, for reports."""


class Replayer:
    """The state of a unit while its batches are made again. keys: of content; None where there is no key to unwrap them
    with, and all of it is taken as it lies there."""

    def __init__(
        self,
        agent: Agent,
        partition: int,
        start: StartingPoint,
        logs: Mapping[tuple[str, int], RecordLog],
        *,
        partitions: int,
        sizes: Sizes,
        keys: KeyTable | None = None,
    ) -> None:
        self.lost = LostStates(agent.name, RecordedChains(logs, partition).previous)
        self._recorded_keys = None if keys is None else RecordedKeys(keys)
        self.agent, self.partition = agent, partition
        self.name = f"{agent.name}/{partition}"
        self.batch = start.batch
        self.states = dict(start.states)
        self.watermarks: Watermarks = dict(start.watermarks)
        self.next_offsets = {**dict.fromkeys(agent.sources, 0), **start.next_offsets}
        self._logs = {topic: logs[topic, partition] for topic in agent.sources}
        self._windows = {topic: window_on(log) for topic, log in self._logs.items()}
        self._partitions, self._sizes = partitions, sizes
        self._engines: dict[str, Engine] = {}
        self._kept = StateBudget().member()

    def inputs(self, entry: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Return the records that a batch read. Raises ReplayError where the journal and the topics do not fit
        together."""
        records: list[tuple[str, Any]] = []
        batch = f"{self.name}: batch {entry['batch']}"
        for topic, first, count in entry["runs"]:
            log = self._logs.get(topic)
            if log is None:
                raise ReplayError("runs", f"{batch} reads {topic}, which {self.agent.name} does not read")
            follows = self.next_offsets[topic]
            # Offsets that compaction had taken before the batch was made are in no run; what is there must be in one.
            if first < follows or (first > follows and log.place(first) != log.place(follows)):
                raise ReplayError(
                    "runs",
                    f"{batch} reads {topic} from {first}, {count} records; expected from {follows}, and the topic "
                    f"holds {log.start} to {log.end}",
                )
            if count < 1 or first + count > log.end:
                raise ReplayError(
                    "runs", f"{batch} reads {topic} from {first}, {count} records, and it ends at {log.end}"
                )
            try:
                records += [(topic, raw) for raw in self._windows[topic].run(first, count)]
            except MissingRecords as error:
                raise ReplayError("not verifiable", f"{batch}: {topic}/{self.partition}: {error}") from None
            self.next_offsets[topic] = first + count
        return records

    @staticmethod
    def intact(records: Sequence[tuple[str, Any]], entry: Mapping[str, Any]) -> bool:
        """Return whether they are, byte for byte, what the batch read."""
        return bool(inputs_digest(records) == entry["inputs"])

    def common_headers(self, entry: Mapping[str, Any], policy: Policy) -> Headers:
        """Return the headers that the derived records of a batch share."""
        return self._engine(entry["version"]).common_headers(policy, self.partition, entry["batch"])

    def process(
        self,
        records: Sequence[tuple[str, Any]],
        entry: Mapping[str, Any],
        policy: Policy,
        form: Callable[[OutputRecord], T],
    ) -> Processed[T]:
        """Make the batch again; return its result. form: what is kept of each output. Raises ReplayError where a key
        is nowhere."""
        if self._recorded_keys is None and entry.get("keys") is not None:
            raise ReplayError("not verifiable", f"{self.name}: batch {entry['batch']} encrypted content: {_NO_KEYS}")
        try:
            if self._recorded_keys is not None:
                self._recorded_keys.begin(entry)
                self.lost.unreadable = {(topic, offset) for topic, offset in entry.get("unreadable") or ()}
            done = self._engine(entry["version"]).process(
                records,
                policy,
                self.states.get,
                self.watermarks,
                partition=self.partition,
                refuse=entry.get("refused"),
                kept=self._kept,
                form=form,
                lost=None if self._recorded_keys is None else self.lost,
            )
        except KeyUnknown as error:
            raise ReplayError("not verifiable", f"{self.name}: batch {entry['batch']}: {error}") from None
        self.watermarks = done.watermarks
        keep(self.states, done.states)
        self.batch = entry["batch"]
        return done

    def dump(self) -> dict[str, Any]:
        """Return the position, for `load`."""
        return {
            "batch": self.batch,
            "states": self.states,
            "marks": self.watermarks,
            "front": self.next_offsets,
            "lost": self.lost.dump(),
        }

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Go on from what `dump` gave."""
        self.batch, self.states, self.next_offsets = dumped["batch"], dict(dumped["states"]), dict(dumped["front"])
        self.watermarks = {name: (height[0], height[1]) for name, height in dumped["marks"].items()}
        self.lost.load(dumped["lost"])

    def _engine(self, version: str) -> Engine:
        if version not in self._engines:
            self._engines[version] = Engine(
                self.agent, self._partitions, version, self._sizes, ConstantSeals(), keys=self._recorded_keys
            )
        return self._engines[version]
