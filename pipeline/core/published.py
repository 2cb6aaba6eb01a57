"""A policy as a record of topic `policies`: what replay finds it by."""

from typing import Any

import orjson

from endocrine.agents.policy.canary import arms
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import CE_ID, SEAL, OutputRecord
from endocrine.pipeline.core.seals import Seals

TOPIC = "policies"


def published_records(
    policy: Policy, seals: Seals, partitions: int, *, previous: str | None, by: str, ts: float
) -> list[OutputRecord]:
    """Return the records that publish a policy: of two in one, both of them first, since records name either.

    previous: digest of the policy in force before. by: who publishes. ts: seconds since 1970 UTC.
    """
    parts = arms(policy) if policy.canary is not None else ()
    return [_record(one, seals, partitions, previous, by, ts) for one in (*parts, policy)]


def _record(policy: Policy, seals: Seals, partitions: int, previous: str | None, by: str, ts: float) -> OutputRecord:
    value: dict[str, Any] = {
        "digest": policy.digest,
        "policy": policy.resolved,
        "previous": previous,
        "by": by,
        "ts": ts,
    }
    place = partition_of(policy.digest, partitions)
    key, content = policy.digest.encode(), orjson.dumps(value)
    seal = seals.seal(TOPIC, place, key, content, key)
    own = ((CE_ID, key), ("content-type", b"application/json"), (SEAL, seal))
    return OutputRecord(TOPIC, place, key, content, own, False)
