"""Find a turn's bundle on the broker, its supplements, and in which batches it was decided by which code."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.core.hash_chain import is_intact
from endocrine.pipeline.core.partitioning import canonical
from endocrine.pipeline.core.records import CE_ID, CUT, POLICY, VERSION, texts
from endocrine.pipeline.core.time_format import show_time
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.settings import Settings

AUDITS = "audits"
DERIVED = ("modulations", "tool-decisions", "incidents")
"""Topics of records that we decide: these name the batch (the cut) and the code version in their headers."""
SLACK_S = 1.0
"""Append times of two partitions' brokers may differ a little. Seconds."""
Bundle = Mapping[str, Any]


class NotFound(LookupError):
    """No such bundle. The message says what was searched and what to try."""


@dataclass(frozen=True)
class Decided:
    """A record of the turn that we decided. cut: `agent/partition/batch`; None: it is not on its topic any more."""

    topic: str
    id: str
    cut: str | None = None
    version: str | None = None
    policy: str | None = None


@dataclass(frozen=True)
class Explained:
    """All there is about a turn. Where the bundle itself is gone, the earliest supplement is used instead."""

    bundle: Bundle
    supplements: Sequence[Bundle] = ()
    decided: Sequence[Decided] = ()
    altered: Sequence[str] = ()
    """Hashes of records here that do not fit their content: somebody changed them."""
    maps: Mapping[str, Any] = field(default_factory=dict)
    """The maps of the policy of the last revision; empty where it is not on its topic."""

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object: the bundle and its supplements as they are on the topic, and where they were
        decided."""
        return {
            "bundle": dict(self.bundle),
            "supplements": [dict(one) for one in self.supplements],
            "decided": [vars(one) for one in self.decided],
            "altered": list(self.altered),
        }


@dataclass
class _Search:
    """Bundles that fit, each once, with where they lie."""

    settings: Settings
    found: dict[bytes, Any] = field(default_factory=dict)
    """By their bytes, since copies are equal: (value, partition, append time in seconds, headers)."""
    looked: int = 0
    unreadable: int = 0

    @property
    def where(self) -> str:
        """What was searched, for a sentence."""
        message = f"among the {self.looked} in {self.settings.prefix}{AUDITS} at {self.settings.bootstrap}"
        return f"{message} ({self.unreadable} records there are not bundles)" if self.unreadable else message

    def of(self, audit_id: str) -> list[Any]:
        """Return those of a turn, the bundle first, then its supplements."""
        mine = [one for one in self.found.values() if one[0]["audit_id"] == audit_id]
        return sorted(mine, key=lambda one: one[0]["supplement"])


async def by_audit_id(settings: Settings, audit_id: str, identity: str | None = None) -> Explained:
    """Return the turn of this id. Raises NotFound; what `endocrine.pipeline.kafka.topic_reader.batches` raises."""
    needle = orjson.dumps(audit_id)
    wanted = None if identity is None else canonical(identity)
    search = _Search(settings)
    async for raw, value, where in _bundles(search, needle):
        if value["audit_id"] == audit_id and wanted in (None, value["identity"]):
            search.found.setdefault(raw, (value, *where))
    if not search.found:
        whose = "" if identity is None else f" of {identity!r}"
        raise NotFound(
            f"turn {audit_id!r}{whose} has no bundle {search.where}; a turn gets one when it is closed and nothing of "
            "it is open: check the id, or wait"
        )
    people = sorted({one[0]["identity"] for one in search.found.values()})
    if len(people) > 1:
        raise NotFound(f"turn {audit_id!r} is an id of {', '.join(map(repr, people))}; say whose with --identity")
    return await _explained(settings, search.of(audit_id))


async def by_time(settings: Settings, identity: str, ts: float) -> Explained:
    """Return the turn of this identity that was in force at event time ts: opened at or before, not ended before.

    Where several were, the one opened last. Raises NotFound, naming the turns before and after.
    """
    wanted = canonical(identity)
    search = _Search(settings)
    async for raw, value, where in _bundles(search, orjson.dumps(wanted)):
        if value["identity"] == wanted:
            search.found.setdefault(raw, (value, *where))
    turns = [one[0] for one in search.found.values() if one[0]["supplement"] == 0 and one[0]["opened"]]
    turns.sort(key=lambda bundle: (bundle["opened"]["ts"], bundle["audit_id"]))
    begun = [bundle for bundle in turns if bundle["opened"]["ts"] <= ts]
    in_force = [bundle for bundle in begun if ts <= _end(bundle)]
    if in_force:
        return await _explained(settings, search.of(in_force[-1]["audit_id"]))
    message = f"no turn of {wanted!r} was in force at {show_time(ts)} (event time)"
    if not turns:
        raise NotFound(
            f"{message}: there is no bundle of {wanted!r} {search.where}; check the identity, or wait until its turn "
            "closed"
        )
    after = next((bundle for bundle in turns if bundle["opened"]["ts"] > ts), None)
    near = []
    if begun:
        near.append(f"{begun[-1]['audit_id']} had ended at {show_time(_end(begun[-1]))}")
    if after:
        near.append(f"{after['audit_id']} began at {show_time(after['opened']['ts'])}")
    raise NotFound(f"{message}: {', '.join(near)}")


def _end(bundle: Bundle) -> float:
    """When a turn ended, in event time: closed, or the last that was heard of it."""
    return float(bundle["closed"]["ts"] if bundle["closed"] else bundle["ts"])


async def _bundles(search: _Search, needle: bytes) -> AsyncIterator[tuple[bytes, Any, Any]]:
    """Bytes, value, and (partition, append time, headers, whether its hash holds) of the bundles whose bytes hold the
    needle."""
    async for _, partition, records in batches(search.settings, [AUDITS]):
        for raw in records:
            if raw.value is None:
                continue
            search.looked += 1
            if needle in raw.value:
                headers = texts(raw.headers)
                try:
                    decode(CATALOGUE[AUDITS], raw.value, len(raw.value))
                except Malformed:
                    search.unreadable += 1
                    continue
                value = orjson.loads(raw.value)
                yield raw.value, value, (partition, raw.timestamp / 1000, headers, is_intact(raw))


async def _explained(settings: Settings, found: list[Any]) -> Explained:
    bundles = [value for value, *_ in found]
    partition = found[0][1]
    until = max(appended for _, _, appended, *_ in found) + SLACK_S
    decided = [
        Decided(AUDITS, headers.get(CE_ID, value["hash"]), headers.get(CUT), headers.get(VERSION), headers.get(POLICY))
        for value, _, _, headers, _ in found
    ]
    names = [(topic, name) for value in bundles for topic in DERIVED for name in value["records"].get(topic, ())]
    seen = await _headers(settings, names, partition, until)
    return Explained(
        bundle=bundles[0],
        supplements=bundles[1:],
        decided=[*(seen.get(name, Decided(*name)) for name in names), *decided],
        altered=[value["hash"] for value, *_, intact in found if not intact],
        maps=await _maps(settings, bundles[0]),
    )


async def _headers(
    settings: Settings, names: Sequence[tuple[str, str]], partition: int, until: float
) -> dict[tuple[str, str], Decided]:
    """What the named records say in their headers; only those that are still there."""
    missing, seen = set(names), {}
    topics = sorted({topic for topic, _ in names})
    if not topics:
        return {}
    async for topic, _, records in batches(settings, topics, partition=partition, until=until):
        for raw in records:
            headers = texts(raw.headers)
            place = (topic, headers.get(CE_ID, ""))
            if place in missing:
                missing.discard(place)
                seen[place] = Decided(*place, headers.get(CUT), headers.get(VERSION), headers.get(POLICY))
        if not missing:
            break
    return seen


async def _maps(settings: Settings, bundle: Bundle) -> Mapping[str, Any]:
    """The maps of the policy that made the last revision, for expressions that the bundle does not hold itself."""
    if not bundle["revisions"]:
        return {}
    digest = bundle["revisions"][-1]["policy"].encode()
    async for _, _, records in batches(settings, ["policies"]):
        for raw in records:
            if raw.key == digest and raw.value is not None:
                maps: Mapping[str, Any] = orjson.loads(raw.value)["policy"].get("maps", {})
                return maps
    return {}
