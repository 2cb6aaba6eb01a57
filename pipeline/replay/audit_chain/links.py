"""Records of `audits` and of the journal as links of their chains."""

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from rfc8785 import CanonicalizationError

from endocrine.pipeline.core.encryption import FIELD as ENCRYPTED_FIELD
from endocrine.pipeline.core.formats import JOURNAL, readable
from endocrine.pipeline.core.hash_chain import link_hash
from endocrine.pipeline.core.journal import unknown_version
from endocrine.pipeline.core.records import CE_ID, SourceRecord
from endocrine.schemas.base import Digest
from endocrine.schemas.proofs import JournalEntry

TOPICS = ("audits", "journal")
Chain = tuple[str, int, str]
"""Topic, partition, and the agent in the journal (empty for audits)."""


class ChainedBundle(BaseModel):
    """What the chain needs of a bundle. No more: bundles are kept longer than the code that wrote them."""

    model_config = ConfigDict(extra="allow", strict=True)

    identity: str
    audit_id: str
    previous: Digest | None
    hash: Digest


_MODELS: dict[str, type[BaseModel]] = {"audits": ChainedBundle, "journal": JournalEntry}


class Link(NamedTuple):
    """One record of a chain."""

    offset: int
    timestamp: int
    """Milliseconds since 1970, append time."""
    name: str
    """What people call it: the audit_id, or `agent/partition/batch`."""
    id: str
    """What its copies share."""
    hash: str
    previous: str | None
    number: int | None
    """Batch number, in the journal."""
    content: bytes
    """Digest of the value's bytes: copies are equal byte for byte."""


@dataclass(frozen=True)
class Break:
    """One thing that is not as it must be."""

    topic: str
    partition: int
    offset: int | None
    name: str | None
    """audit_id, `agent/partition/batch`, or a checkpoint's `key id/number`."""
    told: str
    expected: str
    found: str
    timestamp: int = 0
    """Append time of the record, milliseconds since 1970; 0 without one."""

    def __str__(self) -> str:
        place = f"{self.topic}/{self.partition}" + ("" if self.offset is None else f"/{self.offset}")
        named = f" ({self.name})" if self.name else ""
        return f"{place}{named}: {self.told}: expected {self.expected}, found {self.found}"


class NoLink(Exception):
    """A record that is no link of any chain, with the finding that says why."""

    def __init__(self, finding: Break) -> None:
        super().__init__(str(finding))
        self.finding = finding


def link_of(topic: str, raw: SourceRecord) -> tuple[Chain, Link]:
    """Return the chain that a record belongs to, and it as a link. Raises NoLink where the record alone shows a
    change."""
    value = raw.value or b""
    if topic == "journal" and (unknown := unknown_version(raw.headers)) is not None:
        raise _no_link(topic, raw, None, "cannot be read", f"version {readable(JOURNAL)}", str(unknown))
    try:
        record = orjson.loads(value)
        _MODELS[topic].model_validate({name: part for name, part in record.items() if name != ENCRYPTED_FIELD})
    except orjson.JSONDecodeError as error:
        raise _no_link(topic, raw, None, "cannot be read", "one JSON object", str(error)) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "value"
        raise _no_link(
            topic, raw, None, "is no record of its topic", "a valid one", f"{where}: {first['msg']}"
        ) from None
    content = hashlib.blake2b(value, digest_size=16).digest()
    if topic == "journal":
        return _journal(raw, record, value, content)
    named = record["audit_id"]
    try:
        own = link_hash(record)
    except CanonicalizationError as error:
        raise _no_link(topic, raw, named, "has no canonical form", "canonical JSON", str(error)) from None
    if own != record["hash"]:
        detail = "its content is not what its hash was made of"
        raise _no_link(topic, raw, named, detail, f"hash {record['hash']}", own)
    if raw.key != record["identity"].encode():
        raise _no_link(topic, raw, named, "its key is not its identity", record["identity"], repr(raw.key))
    written_id = dict(raw.headers).get(CE_ID)
    copies = written_id.decode("utf-8", "replace") if written_id is not None else own
    link = Link(raw.offset, raw.timestamp, named, copies, own, record["previous"], None, content)
    return (topic, raw.partition, ""), link


def _journal(raw: SourceRecord, record: dict[str, Any], value: bytes, content: bytes) -> tuple[Chain, Link]:
    agent, partition, batch = record["agent"], record["partition"], record["batch"]
    named = f"{agent}/{partition}/{batch}"
    if partition != raw.partition:
        raise _no_link(
            "journal", raw, named, "lies on another partition than it names", str(partition), f"{raw.partition}"
        )
    if raw.key != f"{agent}/{partition}".encode():
        raise _no_link("journal", raw, named, "its key is not its agent's", f"{agent}/{partition}", repr(raw.key))
    digest = hashlib.sha256(value).hexdigest()
    link = Link(raw.offset, raw.timestamp, named, named, digest, record["previous"], batch, content)
    return ("journal", raw.partition, agent), link


def _no_link(topic: str, raw: SourceRecord, name: str | None, detail: str, expected: str, found: str) -> NoLink:
    return NoLink(Break(topic, raw.partition, raw.offset, name, detail, expected, found, raw.timestamp))
