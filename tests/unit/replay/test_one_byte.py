"""One byte changed in one record of any topic is found, and the topic and the record are named."""

import random
import re
from typing import Any

import pytest

import histories
import link_histories
import memory_histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.report import Report
from endocrine.pipeline.replay.verify import Verifier, verified_topics
from recorded import PARTITIONS, SIZES, Logs, Recording, randomly

UNREAD = {
    "context-packs",
    "scheduled-tasks",
    "checkpoints",
    "content-keys",
    "dlq-actions",
    "effect-starts",
    "model-chunks",
    "policy-rollouts",
    "ops-events",
}
"""Topics that no agent reads or writes: nothing follows from them, so replay cannot prove them."""


RETIRE = {"kind": "retire", "id": "retire-1", "identity": "old", "rekey_id": "1" * 64, "agent": "bonds", "key": "old"}
RETIRE |= {"digest_old": "0" * 64, "by": "op", "ts": 1_760_000_100.0}

ERASE = {"kind": "erase", "id": "erase-1", "identity": "ann", "erasure_id": "1" * 64, "agent": "bonds", "key": "ann"}
ERASE |= {"of": "nobody", "by": "op", "ts": 1_760_000_100.0}


def model_lines(number: int) -> list[dict[str, Any]]:
    about = {"request_id": f"r{number}", "audit_id": f"turn-{number}", "identity": "ann", "step": 1, "model": "m"}
    request = {**about, "messages": [], "tools": [], "parameters": {}, "dropped": [], "deadline_ms": 5}
    reply = {**about, "status": "ok", "content": "x", "tool_calls": [], "finish_reason": "stop", "usage": None}
    late = {name: about[name] for name in ("audit_id", "identity")}
    late |= {"within_ms": 2000, "mode": "strict", "policy": "0" * 64, "ts": 1_760_000_001.0}
    return [
        {"topic": "late-advice", "value": late},
        {"topic": "model-requests", "value": {**request, "ts": 1_760_000_000.0 + number}},
        {"topic": "model-replies", "value": {**reply, "latency_ms": 1.0, "error": None, "ts": 1_760_000_000.5}},
        {"topic": "model-requests", "value": {**request, "surplus": 1}},
        {"topic": "model-replies", "value": {**reply, "surplus": 1}},
    ]


@pytest.fixture(scope="module")
def honest() -> Logs:
    recording, rng = Recording(), random.Random(5)
    recording.publish(shipped_policy())
    lines = histories.with_names(random.Random(6), histories.random_history(rng, 80))
    lines += memory_histories.memory_history(random.Random(22), 100)
    lines += link_histories.link_history(random.Random(3), 30)
    lines += [line for n in range(6) for line in model_lines(n)]
    good = {line["topic"]: line for line in lines if isinstance(line["value"], dict) and "ts" in line["value"]}
    bad = [{**line, "value": {**line["value"], "surplus": 1}} for line in good.values()]
    letters = (source_of(topic) for topic in verified_topics() if holds_dead_letters(topic))
    bad += [{"topic": topic, "key": "ann", "value": {}} for topic in letters if topic not in good]
    lines += [{"topic": "commands", "value": RETIRE}, {"topic": "commands", "value": ERASE}]
    recording.feed(lines + bad)
    recording.run(shipped_policy(), randomly(5))
    return recording.logs


def verify(logs: Any) -> Report:
    return Verifier(logs, PolicyHistory(logs), partitions=PARTITIONS, sizes=SIZES).run(AGENTS)


def flip(data: bytes | None, rng: random.Random) -> bytes:
    place = rng.randrange(len(data or b""))
    return (data or b"")[:place] + bytes([data[place] ^ 1]) + (data or b"")[place + 1 :]  # type: ignore[index]


def changed(logs: Logs, topic: str, part: str, rng: random.Random) -> tuple[Logs, Fetched]:
    partition = max(range(PARTITIONS), key=lambda n: len(logs[topic, n]))
    log = list(logs[topic, partition])
    raw = rng.choice([one for one in log if getattr(one, part)])
    if part == "headers":
        place = rng.randrange(len(raw.headers))
        name, content = raw.headers[place]
        new = (*raw.headers[:place], (name, flip(content, rng)), *raw.headers[place + 1 :])
        log[raw.offset] = raw._replace(headers=new)
    else:
        log[raw.offset] = raw._replace(**{part: flip(getattr(raw, part), rng)})
    return {**logs, (topic, partition): log}, raw


def told(report: Report) -> str:
    return "\n".join(sentence for found in report.findings.values() for sentence in found)


def names(report: Report, topic: str, raw: Fetched) -> bool:
    """By its offset, its id, or (what an agent read is proved batch by batch) among the few that a batch read."""
    text = told(report)
    place = f"{topic}/{raw.partition}"
    ranges = re.findall(rf"{re.escape(place)} (\d+) to (\d+)", text)
    if any(int(first) <= raw.offset <= int(last) for first, last in ranges):
        return True
    told_id = dict(raw.headers).get("ce_id", b"?").decode()
    if topic == "journal":  # the record of a batch is named by its agent, partition and batch
        entry = f"{(raw.key or b'').decode(errors='replace')}: "
        number = re.search(rb'"batch":(\d+)', raw.value or b"")
        if number and any(line.startswith(entry) and f"batch {int(number[1])}:" in line for line in text.splitlines()):
            return True
    return any(place in line and (f"at offset {raw.offset}" in line or told_id in line) for line in text.splitlines())


def test_the_history_has_records_on_every_topic_that_can_be_proved(honest: Logs) -> None:
    empty = {topic for topic in verified_topics() if not any(honest[topic, n] for n in range(PARTITIONS))}
    assert empty == UNREAD
    report = verify(honest)
    assert report.proved, (report.findings, report.not_verifiable)


QUICK = {"policies", "journal", "interactions", "modulations", "tool-calls", "tool-decisions", "audits", "bonds"}
"""Topics whose records decide what may be done, or prove what was: the others are slow tests."""
TOPICS = [topic for topic in verified_topics() if topic not in UNREAD]
PLACES = [("value", 0), ("value", 1), ("key", 0)]


# Each proves a whole history again: the second place of every value and the keys are slow tests, too.
@pytest.mark.parametrize(
    ("topic", "part", "seed"),
    [
        pytest.param(topic, *place, marks=[] if topic in QUICK and place == PLACES[0] else pytest.mark.slow)
        for topic in TOPICS
        for place in PLACES
    ],
)
def test_one_byte_changed_is_found_and_named(honest: Logs, topic: str, part: str, seed: int) -> None:
    rng = random.Random(f"{topic} {part} {seed}")
    logs, raw = changed(honest, topic, part, rng)
    if topic == "policies" and part == "value":
        raw = raw._replace(value=raw.value.replace(b'"BROWSER_TOOL":true', b'"BROWSER_TOOL":frue'))
        logs = {**honest, (topic, raw.partition): [raw]}
    report = verify(logs)
    assert not report.proved
    assert names(report, topic, raw)


@pytest.mark.parametrize("topic", ["modulations", "tool-decisions", "audits", "bonds", "journal", "incidents"])
def test_one_byte_changed_in_a_header_of_ours_is_found(honest: Logs, topic: str) -> None:
    logs, raw = changed(honest, topic, "headers", random.Random(topic))
    report = verify(logs)
    assert not report.proved
    assert f"{topic}/{raw.partition}" in told(report)


def test_a_changed_field_is_told_by_its_path(honest: Logs) -> None:
    partition = max(range(PARTITIONS), key=lambda n: len(honest["modulations", n]))
    log = list(honest["modulations", partition])
    log[3] = log[3]._replace(value=(log[3].value or b"").replace(b'"top_p":', b'"top_q":', 1))
    report = verify({**honest, ("modulations", partition): log})
    one = next(one for one in report.differences if one["topic"] == "modulations")
    assert (one["partition"], one["offset"]) == (partition, 3)
    assert {field["path"] for field in one["fields"]} == {"$.parameters.top_p", "$.parameters.top_q"}


def test_a_policy_that_is_not_its_digest_is_found_and_not_used(honest: Logs) -> None:
    place = next(place for place, log in honest.items() if place[0] == "policies" and log)
    raw = honest[place][0]
    other = (raw.value or b"").replace(b'"BROWSER_TOOL":true', b'"BROWSER_TOOL":false')
    assert other != raw.value
    report = verify({**honest, place: [raw._replace(value=other)]})
    assert report.findings["policy changed"]
    assert report.findings["not verifiable"]
