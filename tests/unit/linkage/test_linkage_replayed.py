"""Linkage is derived like everything else: replay proves it over random histories, whatever the batches were."""

import random
from collections import Counter
from typing import Any

import orjson
import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.replay.verify import Verifier
from link_histories import link_history
from linked import POLICY
from recorded import PARTITIONS, SIZES, Logs, Recording, randomly

TOPICS = ("link-evidence", "link-hints", "identity-links", "link-events")


@pytest.fixture(scope="module", params=[(3, 40), (4, 3)], ids=["large batches", "small batches"])
def recorded(request: pytest.FixtureRequest) -> Logs:
    seed, most = request.param
    recording = Recording()
    lines = link_history(random.Random(seed), 300)
    for begin in range(0, len(lines), 10):  # so that commands find the links that the observations before them made
        recording.feed(lines[begin : begin + 10])
        recording.run(POLICY, randomly(seed + begin, most))
    return recording.logs


def values(logs: Logs, topic: str) -> list[dict[str, Any]]:
    return [orjson.loads(raw.value or b"") for n in range(PARTITIONS) for raw in logs[topic, n]]


def test_replay_reproduces_every_record_of_linkage(recorded: Logs) -> None:
    logs: Any = recorded
    report = Verifier(logs, lambda digest: POLICY, partitions=PARTITIONS, sizes=SIZES).run(AGENTS)
    assert report.proved, report.findings
    assert report.compared == report.equal == report.records


def test_the_histories_reach_what_linkage_can_do(recorded: Logs) -> None:
    for topic in TOPICS:
        assert values(recorded, topic), topic
        assert not [raw for n in range(PARTITIONS) for raw in recorded.get((f"{topic}.dlq", n), [])]
    events = Counter(event["kind"] for event in values(recorded, "link-events"))
    assert {"observed", "proposed", "applied", "reversed", "dismissed", "refused"} <= set(events)
    statuses = {link["status"] for link in values(recorded, "identity-links")}
    assert statuses == {"observed", "proposed", "applied", "dismissed"}
