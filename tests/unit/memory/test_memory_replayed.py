"""Memory is derived like everything else: replay proves it over random histories, whatever the batches were."""

import random
from functools import cache
from typing import Any

import orjson
import pytest

from endocrine.agents.policy.compiled import Policy, compile_policy
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.verify import Verifier
from memory_histories import memory_history
from recorded import PARTITIONS, SIZES, Logs, Recording, randomly


def live_extraction() -> Policy:
    resolved = orjson.loads(orjson.dumps(shipped_policy().resolved))
    resolved["memory"] |= {"extract_live": True, "active": 3, "candidates": 4, "settled": 3}
    return compile_policy(resolved)


POLICY = live_extraction()
TOPICS = ("captured", "memories", "memory-events", "candidates", "reinforcements", "memory-orders", "conflict-marks")


HISTORIES = {"large batches": (65, 40), "small batches": (31, 3)}
"""Seed, and the most records of a batch."""


@cache
def history(name: str) -> Logs:
    seed, most = HISTORIES[name]
    recording = Recording()
    recording.feed(memory_history(random.Random(seed), 500))
    recording.run(POLICY, randomly(seed, most))
    return recording.logs


@pytest.fixture(params=HISTORIES)
def recorded(request: pytest.FixtureRequest) -> Logs:
    return history(request.param)


def values(logs: Logs, topic: str) -> list[dict[str, Any]]:
    return [orjson.loads(raw.value or b"") for n in range(PARTITIONS) for raw in logs[topic, n]]


def test_replay_reproduces_every_record_of_memory(recorded: Logs) -> None:
    logs: Any = recorded
    report = Verifier(logs, lambda digest: POLICY, partitions=PARTITIONS, sizes=SIZES).run(AGENTS)
    assert report.proved, report.findings
    assert report.compared == report.equal == report.records


def test_the_histories_reach_what_memory_can_do() -> None:
    found = [history(name) for name in HISTORIES]

    def reached(topic: str) -> set[str]:
        return {value["kind"] for logs in found for value in values(logs, topic)}

    for logs in found:
        for topic in (*TOPICS, "conflicts", "conflict-events"):
            assert values(logs, topic), topic
            assert not [raw for n in range(PARTITIONS) for raw in logs.get((f"{topic}.dlq", n), [])]
    assert reached("memory-events") == {
        "created", "promoted", "rejected", "superseded", "invalidated", "updated", "reinforced", "refused", "dropped",
        "voted", "imported",
    }  # fmt: skip
    assert reached("conflict-events") == {"opened", "changed", "resolved", "dismissed", "refused"}
    assert reached("memory-orders") == {"create", "activate", "retire"}


def test_a_memory_has_one_version_after_the_other_and_one_latest_record(recorded: Logs) -> None:
    seen: dict[str, int] = {}
    for memory in values(recorded, "memories"):
        assert memory["version"] >= seen.get(memory["memory_id"], 1)  # equal: an import that came again
        seen[memory["memory_id"]] = memory["version"]
