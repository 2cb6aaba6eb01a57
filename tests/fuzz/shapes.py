"""What a hostile producer sends: records, and groups of them that go into one record batch; how both are kept."""

import base64
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from wire import Header


@dataclass(frozen=True)
class Hostile:
    """One record. kind: how it was made. expect: what must become of it, where that is sure (`checks.py`)."""

    kind: str
    topic: str
    """Without prefix."""
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header] = ()
    expect: str = ""

    def but(self, kind: str, **changes: Any) -> "Hostile":
        """A mutated one; what must become of it is no longer sure."""
        return replace(self, **{"kind": kind, "expect": "", **changes})


@dataclass(frozen=True)
class Group:
    """Records of one partition that are sent as one record batch. transaction: commit, abort, open, or none."""

    records: Sequence[Hostile]
    codec: int = 0
    transaction: str = ""


@dataclass(frozen=True)
class Canaries:
    """Texts that occur nowhere but where they were put; by what they represent."""

    prompt: str
    note: str
    argument: str
    secret: str
    """Under a name that is redacted."""
    header: str
    key: str
    """A provider's key, in the environment."""

    @classmethod
    def fresh(cls) -> "Canaries":
        """New ones: not from the seed, so that no log of another run has them."""
        return cls(
            *(
                f"canary{name}{secrets.token_hex(8)}"
                for name in ("prompt", "note", "argument", "secret", "header", "key")
            )
        )


@dataclass
class Ledger:
    """What the broker took: place of each record that it acknowledged."""

    taken: dict[tuple[str, int, int], Hostile] = field(default_factory=dict)
    refused: int = 0
    ghosts: int = 0
    """Records of transactions that were aborted."""


def chunks(records: Sequence[Hostile], rng: random.Random) -> list[Group]:
    """Records in groups by partition, in order, with codecs and transactions by chance."""
    by_place: dict[tuple[str, int], list[Hostile]] = {}
    for record in records:
        by_place.setdefault((record.topic, record.partition), []).append(record)
    return [Group(some, rng.choice([0, 0, 1, 2, 3, 4])) for some in by_place.values()]


# ---- files ----


def save(path: Path, groups: Iterable[Group]) -> None:
    """Write groups as JSON lines, for `--replay`."""
    with path.open("wb") as file:
        for group in groups:
            records = [
                {
                    **{name: getattr(one, name) for name in ("kind", "topic", "partition", "expect")},
                    "key": _b64(one.key),
                    "value": _b64(one.value),
                    "headers": [(_b64(name), _b64(content)) for name, content in one.headers],
                }
                for one in group.records
            ]
            file.write(
                orjson.dumps({"codec": group.codec, "transaction": group.transaction, "records": records}) + b"\n"
            )


def load(path: Path) -> list[Group]:
    """What `save` wrote."""
    return [
        Group(
            [
                Hostile(
                    **{name: one[name] for name in ("kind", "topic", "partition", "expect")},
                    key=_bytes(one["key"]),
                    value=_bytes(one["value"]),
                    headers=[(_bytes(name) or b"", _bytes(content)) for name, content in one["headers"]],
                )
                for one in group["records"]
            ],
            group["codec"],
            group["transaction"],
        )
        for group in map(orjson.loads, path.read_bytes().splitlines())
    ]


def described(record: Hostile) -> str:
    """A record in one line, its bytes cut: for people who look for what is wrong."""
    headers = ", ".join(f"{_cut(name)}: {_cut(content)}" for name, content in record.headers[:4])
    more = f", and {len(record.headers) - 4} more" if len(record.headers) > 4 else ""
    return (
        f"{record.kind}: {record.topic}/{record.partition} key {_cut(record.key)} value {_cut(record.value)}"
        f" headers [{headers}{more}]"
    )


def _cut(content: bytes | None) -> str:
    if content is None:
        return "null"
    return repr(content)[1:] if len(content) <= 120 else f"{content[:60]!r}... of {len(content)} bytes"


def _b64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _bytes(content: str | None) -> bytes | None:
    return None if content is None else base64.b64decode(content)
