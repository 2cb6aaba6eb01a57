"""A backup under a new prefix with another number of partitions.

Only of a drained deployment: every agent has read all there is. Then nothing is read again under the new prefix, and
what had no common order, records of two partitions, may be put into any: those of partition 0 first, then those of 1,
and so on. Each subject's records and states come from one partition and stay in their order.

Three things are a partition's own and begin anew: batch numbers (above every one that was given), the audit chain (each
bundle is linked again; the first names the backup, which holds the old chain), and, where partitions become one, the
figures of tools of all but one.
"""

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.hash_chain import CHAIN_KEY, Chains
from endocrine.pipeline.core.records import CUT, ORIGIN, Fetched
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.data.backup.bundle import digest_of
from endocrine.pipeline.data.backup.cut_records import front_of
from endocrine.pipeline.data.backup.placement import home_of_record, home_of_state
from endocrine.pipeline.data.backup.translation import Moved, Place, Translation, Unit
from endocrine.pipeline.replay.state_files import read_states

_SHOWN = 3
"""Units named in a refusal."""


class NotDrained(Exception):
    """Some agent has not read all. The message names units and topics."""


class Repartitioning(Translation):
    """The records and states of a backup on so many partitions. Raises UnknownKeys, NotDrained and Unplaceable."""

    def __init__(
        self, folder: Path, manifest: Mapping[str, Any], old: KeyedSeals, new: KeyedSeals, partitions: int
    ) -> None:
        super().__init__(folder, manifest, old, new)
        self._before, self._after = int(manifest["partitions"]), partitions
        self._named = digest_of(folder)
        self._home: dict[Place, array[int]] = {}
        """By old place, of each record that is kept or owed: its new partition."""
        self._offsets: dict[Place, array[int]] = {}
        """And its new offset."""
        self._ends: dict[Place, int] = {}
        """By new place, how many records it gets."""
        self._chains: dict[int, Chains] = {}
        self._refuse_unread()
        for topic in dict.fromkeys(topic for topic, _ in self._kept):
            self._lay_out(topic)

    @property
    def places(self) -> list[Place]:
        """See Translation."""
        return [(topic, n) for topic in dict.fromkeys(topic for topic, _ in self._kept) for n in range(self._after)]

    def count(self, place: Place) -> int:
        """See Translation."""
        return self._ends.get(place, 0)

    def units(self) -> Iterator[Unit]:
        """See Translation. After `streams`: the ends of chains are those of what was written."""
        for agent in AGENTS:
            old = {int(name.rpartition("/")[2]): about for name, about in self._units.items()
                   if name.rpartition("/")[0] == agent.name}  # fmt: skip
            if not old:
                continue
            last = max(old.values(), key=lambda about: int(about["batch"]))
            states: dict[int, dict[str, bytes]] = {n: {} for n in range(self._after)}
            for n, about in sorted(old.items()):
                for key, state in read_states(self._folder, about):
                    if key != CHAIN_KEY:
                        states[home_of_state(agent.name, n, key, before=self._before, after=self._after)][key] = state
            for n in range(self._after):
                if n in self._chains and any(CATALOGUE[topic].chained for topic in agent.targets):
                    states[n][CHAIN_KEY] = self._chains[n].state
                front = {topic: self.count((topic, n)) for topic in agent.sources}
                yield Unit(f"{agent.name}/{n}", int(last["batch"]), last["policy"], front, sorted(states[n].items()))

    def group_offsets(self, offsets: Mapping[Place, int]) -> dict[Place, int]:
        """See Translation. What a group had not finished is read again from its first record on: some comes twice."""
        found: dict[Place, int] = {}
        for topic in {topic for topic, _ in offsets}:
            for n in range(self._after):
                found[topic, n] = self.count((topic, n))
            for n in range(self._before):
                first = self.next_offset(topic, n, offsets.get((topic, n), 0))
                homes, places = self._home.get((topic, n), ()), self._offsets.get((topic, n), ())
                for home, offset in list(zip(homes, places, strict=True))[first:]:
                    found[topic, home] = min(found[topic, home], offset)
        return found

    def _refuse_unread(self) -> None:
        behind = []
        for agent in AGENTS:
            for topic in agent.sources:
                for n in range(self._before):
                    unit = f"{agent.name}/{n}"
                    unread = super().count((topic, n)) - self.next_offset(topic, n, front_of(self._units, unit, topic))
                    if unread:
                        behind.append(f"{unit} has not read {unread} of {topic}")
        if behind:
            more = f", and {len(behind) - _SHOWN} more" if len(behind) > _SHOWN else ""
            raise NotDrained(
                f"not drained: {'; '.join(behind[:_SHOWN])}{more}. Stop what produces, let workers read all "
                "(`endocrine lag`), stop them, and try again"
            )

    def _lay_out(self, topic: str) -> None:
        for n in range(self._before):
            if (topic, n) not in self._kept:
                continue
            homes, offsets = array("l"), array("q")
            for raw in self._chosen((topic, n)):
                home = home_of_record(topic, n, raw.key, raw.value, before=self._before, after=self._after)
                end = self._ends.get((topic, home), 0)
                homes.append(home)
                offsets.append(end)
                self._ends[topic, home] = end + 1
            self._home[topic, n], self._offsets[topic, n] = homes, offsets

    # ---- what is written ----

    def _place_of(self, topic: str, partition: int, offset: int) -> tuple[int, int] | None:
        index = self._index_of(topic, partition, offset)
        if index is None:
            return None
        return self._home[topic, partition][index], self._offsets[topic, partition][index]

    def _moved(self, topic: str, raw: Fetched, index: int, ours: bool) -> Moved:
        n = raw.partition
        home, offset = self._home[topic, n][index], self._offsets[topic, n][index]
        key, value = self._content(topic, raw)
        if value is not None and topic in CATALOGUE and CATALOGUE[topic].chained and ours:
            value = self._linked(topic, home, value)
        return Moved(home, offset, key, value)

    def _written(self, topic: str, raw: Fetched, index: int) -> Fetched:
        """Batches are named by unit: that of where the cause lies now, or else of where the record does."""
        done = super()._written(topic, raw, index)
        headers = dict(done.headers)
        if (cut := headers.get(CUT)) is None or done.headers == raw.headers:
            return done
        agent, _, batch = cut.decode().split("/")
        origin = (headers.get(ORIGIN) or b"").decode().split("/")
        home = origin[-3] if len(origin) == 5 else str(done.partition)
        named = f"{agent}/{home}/{batch}".encode()
        return done._replace(headers=tuple((name, named if name == CUT else content) for name, content in done.headers))

    def _linked(self, topic: str, home: int, value: bytes) -> bytes:
        chains = self._chains.get(home)
        if chains is None:
            chains = self._chains[home] = Chains(orjson.dumps({topic: self._named}))
        content = {name: part for name, part in orjson.loads(value).items() if name not in ("previous", "hash")}
        return orjson.dumps(chains.linked(topic, content))
