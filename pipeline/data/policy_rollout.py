"""Rolling a policy out: publish, canary, promote, roll back. What is sent is sealed, and read back."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaProducer

from endocrine.agents.policy.canary import canary_policy, compile_published
from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.errors import PolicyError
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.published import published_records
from endocrine.pipeline.core.records import CE_ID, SEAL, OutputRecord
from endocrine.pipeline.core.rollouts import KEY, TOPIC, Rollouts, rollouts_partition
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka import connection
from endocrine.pipeline.kafka.policy_follower import read_rollouts
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.rollouts import PolicyRollout, RolloutKind

_HEADERS_BYTES = 4096
"""Room that a record's headers and its batch take, at most."""


class RolloutRefused(Exception):
    """A rollout that is not made. The message says why, and what to do."""


class Change(NamedTuple):
    """What is to be in force next."""

    kind: RolloutKind
    policy: Policy | None
    """None: that of each process's settings again."""
    share: float | None = None
    candidate: str | None = None
    """Digest of a canary's candidate."""
    restores: int | None = None
    """Of a rollback: number of the rollout that is in force again."""


Plan = Callable[[Rollouts], Change]
"""What is to be done, given what was done so far. Raises RolloutRefused."""


def publish(policy: Policy) -> Plan:
    """Put a policy in force for everybody."""

    def plan(rollouts: Rollouts) -> Change:
        if policy.canary is not None:
            raise RolloutRefused("two policies in one are published as a canary")
        if rollouts.digest == policy.digest:
            raise RolloutRefused(f"{policy.digest} is in force already")
        return Change("publish", policy)

    return plan


def canary(policy: Policy, share: float, base: Policy) -> Plan:
    """Put a policy in force for a share of identities; the others stay with what is in force, which is `base` where
    nothing is published."""

    def plan(rollouts: Rollouts) -> Change:
        left = rollouts.standing()
        if left and left[-1].kind == "canary":
            left = left[:-1]
        below = base if not left else compiled(left[-1])
        try:
            both = canary_policy(below, policy, share)
        except PolicyError as error:
            raise RolloutRefused("\n".join(map(str, error.errors))) from None
        return Change("canary", both, share, policy.digest)

    return plan


def promote(rollouts: Rollouts) -> Change:
    """Put the candidate of the canary in force for everybody."""
    left = rollouts.standing()
    both = compiled(left[-1]) if left else None
    if both is None or both.canary is None:
        raise RolloutRefused("no canary is in force; expected `endocrine policy publish FILE --canary SHARE` before")
    return Change("promote", both.canary.candidate)


def roll_back(rollouts: Rollouts) -> Change:
    """Put in force again what was in force before the last rollout that is not taken back."""
    left = rollouts.standing()
    if not left:
        raise RolloutRefused("nothing is published: each process goes by its settings; there is nothing to roll back")
    below = left[-2] if len(left) > 1 else None
    return Change("rollback", None if below is None else compiled(below), restores=below.number if below else 0)


def compiled(entry: PolicyRollout) -> Policy:
    """Return the policy of a rollout as this code reads it. Raises RolloutRefused where it does not."""
    assert entry.policy is not None
    try:
        return compile_published(entry.policy, {}, shipped_policy().resolved)
    except PolicyError as error:
        raise RolloutRefused(
            f"the policy of rollout {entry.number} cannot be used by this version: {error.errors[0]}"
        ) from None


async def roll_out(
    settings: Settings, seals: Seals, plan: Plan, *, by: str, reason: str | None = None
) -> PolicyRollout:
    """Do what is planned, and return it once it is in force.

    by: who does it, 1 to 256 characters. Raises RolloutRefused, also where somebody else's rollout came first;
    KafkaError and TimeoutError where the broker does not answer.
    """
    before = await read_rollouts(settings, seals)
    change = plan(before)
    value = _value(before, change, by, reason)
    entry = PolicyRollout.model_validate(value)
    record = _record(settings, seals, value)
    if (size := len(record.value or b"")) > settings.topic_message_bytes - _HEADERS_BYTES:
        raise RolloutRefused(
            f"the policy takes {size} bytes; expected at most {settings.topic_message_bytes - _HEADERS_BYTES} "
            "(ENDOCRINE_TOPIC_MESSAGE_BYTES)"
        )
    records = [record]
    if change.policy is not None:
        records = (
            published_records(change.policy, seals, settings.partitions, previous=before.digest, by=by, ts=value["ts"])
            + records
        )
    async with _producer(settings) as producer:
        for out in records:
            await producer.send_and_wait(
                settings.prefix + out.topic, out.value, out.key, out.partition, headers=list(out.own)
            )
    after = await read_rollouts(settings, seals)
    if entry not in after.entries:
        raise RolloutRefused(
            f"another rollout was made at the same moment, and counts: {after.entries[-1].kind} by "
            f"{after.entries[-1].by}; look at `endocrine policy history`, then decide again"
        )
    return entry


def _value(before: Rollouts, change: Change, by: str, reason: str | None) -> dict[str, Any]:
    return {
        "number": before.number + 1,
        "kind": change.kind,
        "digest": change.policy and change.policy.digest,
        "policy": change.policy and dict(change.policy.resolved),
        "previous": before.digest,
        "share": change.share,
        "candidate": change.candidate,
        "restores": change.restores,
        "reason": reason,
        "by": by,
        "ts": time.time(),
    }


def _record(settings: Settings, seals: Seals, value: Mapping[str, Any]) -> OutputRecord:
    place, content = rollouts_partition(settings.partitions), orjson.dumps(value)
    ce_id = f"policy/{value['number']}".encode()
    own = (
        ("ce_source", b"endocrine/operator"),
        ("ce_specversion", b"1.0"),
        ("ce_type", CATALOGUE[TOPIC].ce_type),
        (CE_ID, ce_id),
        ("content-type", b"application/json"),
        (SEAL, seals.seal(TOPIC, place, KEY, content, ce_id)),
    )
    return OutputRecord(TOPIC, place, KEY, content, own, False)


@asynccontextmanager
async def _producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = connection.producer(
        settings, acks="all", enable_idempotence=True, max_request_size=settings.topic_message_bytes
    )
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


async def published_documents(settings: Settings, seals: Seals | None) -> dict[str, Any]:
    """Return the documents on topic `policies` that are ours, by digest; without keys, whatever lies there.

    Raises NoSuchTopic, KafkaError, TimeoutError.
    """
    found: dict[str, Any] = {}
    async for topic, _, records in batches(settings, ["policies"]):
        for raw in records:
            if raw.value is not None and (seals is None or seals.valid(topic, raw, dict(raw.headers))):
                value = orjson.loads(raw.value)
                found[value["digest"]] = value["policy"]
    return found


async def on_record(settings: Settings, seals: Seals, base: Policy) -> None:
    """Check that somebody decided by a policy of settings. Raises RolloutRefused: a canary beside a base that no worker
    ever had would change the policy of everybody."""
    if base.digest not in await published_documents(settings, seals):
        raise RolloutRefused(
            f"nothing is published, and no worker ever decided by the policy of these settings, {base.digest}: "
            "expected the settings of the workers (ENDOCRINE_POLICY, ENDOCRINE_FLAG_*), or a published policy as base"
        )
