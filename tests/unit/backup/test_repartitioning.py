"""A drained deployment on another number of partitions: the same states per key, the same records by id, one chain."""

import random
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

import histories
import link_histories
import memory_histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.data.backup.bundle import OWED, TOPICS, RecordFile, digest_of
from endocrine.pipeline.data.backup.placement import Unplaceable, home_of_state, subject_of_state
from endocrine.pipeline.data.backup.repartitioning import NotDrained, Repartitioning
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.audit_chain.verify import Verification
from endocrine.pipeline.replay.state_files import read_manifest, write_manifest, write_states
from recorded import PARTITIONS, Recording, randomly

NEW = simulated_seals("new.")
PARTITIONS_OWN = {("analytics", "tools"), ("audit", CHAIN_KEY)}


@pytest.fixture(scope="module")
def recording() -> Recording:
    made = Recording()
    made.publish(shipped_policy())
    lines = histories.with_names(random.Random(6), histories.random_history(random.Random(5), 80))
    lines += memory_histories.memory_history(random.Random(22), 60)
    lines += link_histories.link_history(random.Random(3), 30)
    made.feed(lines)
    made.run(shipped_policy(), randomly(5))
    return made


def backed_up(recording: Recording, folder: Path) -> Path:
    """What `backup create` writes of such topics and states."""
    (folder / TOPICS).mkdir(parents=True)
    topics = {}
    for (topic, n), log in recording.logs.items():
        file = RecordFile(folder, topic, n)
        file.add(log)
        topics[f"{topic}/{n}"] = file.close()
    (folder / OWED).write_bytes(b"")
    units = {
        name: {
            "batch": batch,
            "front": dict(recording.next_offsets[name]),
            "marks": {},
            "journal": recording.previous[name],
            "policy": shipped_policy().digest,
            **write_states(folder, name, recording.states[name].items()),
        }
        for name, batch in recording.batches.items()
    }
    head = {"prefix": "endocrine.", "partitions": PARTITIONS, "units": units, "topics": topics, "owed": {"file": OWED}}
    write_manifest(folder, head)
    return folder


class Result(SimpleNamespace):
    """Records by new place, units, and what made them."""


@pytest.fixture(scope="module", params=[1, 3, 8])
def moved(request: pytest.FixtureRequest, recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = backed_up(recording, tmp_path_factory.mktemp("backup") / "one")
    made = Repartitioning(folder, read_manifest(folder), simulated_seals(), NEW, request.param)
    logs: dict[tuple[str, int], list[Fetched]] = {place: [] for place in made.places}
    for topic, records in made.streams():
        for raw in records:
            logs[topic, raw.partition].append(raw)
    return Result(made=made, logs=logs, units=list(made.units()), partitions=request.param, named=digest_of(folder))


def test_offsets_follow_each_other_and_are_as_many_as_was_said(moved: Result) -> None:
    for place, log in moved.logs.items():
        assert [raw.offset for raw in log] == list(range(moved.made.count(place)))


def test_each_key_has_the_state_that_it_had_where_its_subject_lives_now(moved: Result, recording: Recording) -> None:
    before = {
        (name.rpartition("/")[0], key): state
        for name, states in recording.states.items()
        for key, state in states.items()
    }
    after: dict[tuple[str, str], bytes] = {}
    for unit in moved.units:
        agent = unit.name.rpartition("/")[0]
        after |= {(agent, key): state for key, state in unit.states}
    assert {agent for agent, _ in after} >= {"attribution", "trust", "linkage", "conflicts", "memory", "registry"}
    assert before.keys() == after.keys()
    assert {key for key in before if before[key] != after[key]} <= PARTITIONS_OWN


def link_free(topic: str, value: bytes | None) -> Any:
    """A bundle without its links, which are its partition's."""
    if topic != "audits" or value is None:
        return value
    return {name: part for name, part in orjson.loads(value).items() if name not in ("previous", "hash")}


def by_subject(logs: Any, partitions: int, *, at_home: bool) -> dict[Any, list[Any]]:
    """Per topic and key, what lies there in order; of compacted topics the last. at_home: where the key belongs."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for topic, n in sorted(logs):
        described = CATALOGUE.get(topic)
        if topic in ("journal", "checkpoints") or (described is not None and described.key == "tool"):
            continue
        for raw in logs[topic, n]:
            if described is not None and described.cleanup == "compact":
                found[topic, raw.key] = [(dict(raw.headers).get("ce_id"), raw.value)]
            elif not at_home or partition_of((raw.key or b"").decode(), partitions) == n:
                entry = (dict(raw.headers).get("ce_id"), link_free(topic, raw.value))
                if entry not in found[topic, raw.key]:
                    found[topic, raw.key].append(entry)
    return {place: entries for place, entries in found.items() if entries[-1][1] is not None}


def test_each_subject_has_the_records_that_it_had_by_id_and_in_order(moved: Result, recording: Recording) -> None:
    before, after = (
        by_subject(logs, partitions, at_home=True)
        for logs, partitions in ((recording.logs, PARTITIONS), (moved.logs, moved.partitions))
    )
    assert len(before) > 100
    for place, entries in before.items():
        there = [entry for entry in after[place] if entry in entries]  # others were misplaced, and may be at home now
        assert there == entries, place


def test_no_record_is_lost_and_none_is_invented(moved: Result, recording: Recording) -> None:
    before, after = (
        {place: sorted(entries, key=repr) for place, entries in by_subject(logs, partitions, at_home=False).items()}
        for logs, partitions in ((recording.logs, PARTITIONS), (moved.logs, moved.partitions))
    )
    assert before == after


def test_what_was_ours_is_ours_and_lies_with_its_subject(moved: Result) -> None:
    ours = 0
    for (topic, n), log in moved.logs.items():
        for raw in log:
            headers = dict(raw.headers)
            if "endocrine-seal" not in headers or not NEW.valid(topic, raw, headers):
                assert "endocrine-cut" not in headers or topic in ("interactions", "signals"), topic
                continue
            ours += 1
            if topic == "modulations":
                assert n == partition_of((raw.key or b"").decode(), moved.partitions)
            cut = headers.get("endocrine-cut", b"").decode().split("/")
            assert len(cut) == 1 or int(cut[1]) < moved.partitions
            origin = headers.get("endocrine-origin", b"").decode().split("/")
            if len(origin) == 5:
                assert int(origin[3]) < moved.made.count((origin[1], int(origin[2])))
    assert ours > 200


def test_batch_numbers_are_above_every_one_that_was_given_and_nothing_is_unread(
    moved: Result, recording: Recording
) -> None:
    assert len(moved.units) == moved.partitions * len({name.partition("/")[0] for name in recording.batches})
    for unit in moved.units:
        agent, _, n = unit.name.rpartition("/")
        assert unit.batch == max(number for name, number in recording.batches.items() if name.startswith(f"{agent}/"))
        assert unit.next_offsets == {topic: len(moved.logs[topic, int(n)]) for topic in unit.next_offsets}


def test_the_audit_chain_is_whole_and_begins_at_the_backup(moved: Result) -> None:
    for known in ({moved.named}, set[str]()):
        seen = Verification({}, restored_from=known)
        for (topic, _), log in moved.logs.items():
            for raw in log if topic == "audits" else ():
                seen.feed(topic, raw)
        seen.finish({})
        assert bool(seen.findings) is not bool(known), seen.findings
    ends = {n: log[-1].value for (topic, n), log in moved.logs.items() if topic == "audits" and log}
    for unit in moved.units:
        if unit.name.startswith("audit/") and int(unit.name.rpartition("/")[2]) in ends:
            last = orjson.loads(ends[int(unit.name.rpartition("/")[2])] or b"")
            assert orjson.loads(dict(unit.states)[CHAIN_KEY]) == {"audits": last["hash"]}


def test_what_a_group_had_not_finished_comes_again(moved: Result, recording: Recording) -> None:
    whole = {("interactions", n): len(log) for (topic, n), log in recording.logs.items() if topic == "interactions"}
    done = moved.made.group_offsets(whole)
    assert done == {place: moved.made.count(place) for place in done}
    first = moved.made.group_offsets({**whole, ("interactions", 0): 0})
    others = {raw.value for raw in recording.logs["interactions", 1]}
    mine = {raw.value for raw in recording.logs["interactions", 0]} - others
    for (topic, n), offset in first.items():
        assert not mine & {raw.value for raw in moved.logs[topic, n][:offset]}


def test_a_deployment_that_is_not_drained_is_refused_with_who_has_not_read_what(
    recording: Recording, tmp_path: Path
) -> None:
    folder = backed_up(recording, tmp_path / "one")
    manifest = read_manifest(folder)
    manifest["units"]["gating/1"]["front"]["tool-calls"] -= 2
    with pytest.raises(NotDrained, match=r"not drained: gating/1 has not read 2 of tool-calls\. Stop what produces"):
        Repartitioning(folder, manifest, simulated_seals(), NEW, 3)


def test_a_state_on_another_partition_than_its_subjects_is_not_moved() -> None:
    wrong = 1 - partition_of("ann", 2)
    with pytest.raises(Unplaceable, match=rf"gating/{wrong}: a state whose key has 3 characters"):
        home_of_state("gating", wrong, "ann", before=2, after=4)


@pytest.mark.parametrize(
    ("agent", "key"),
    [
        ("modulation", "ops/ann"),
        ("attribution", "ops/ann/motor.pace"),
        ("memory", "ops/ann/m-1"),
        ("conflicts", "ops/ann/slot"),
        ("trust", "ops/ann/status/k1"),
        ("linkage", 'ops/ann/["ops/ann","b/c"]'),
    ],
)
def test_the_subject_of_a_states_key_is_found_though_names_hold_slashes(agent: str, key: str) -> None:
    assert subject_of_state(agent, key) == "ops/ann"


def test_every_agent_with_finer_keys_is_known(recording: Recording) -> None:
    placed = 0
    for name, states in recording.states.items():
        agent, _, n = name.rpartition("/")
        for key in states:
            home_of_state(agent, int(n), key, before=PARTITIONS, after=PARTITIONS)
            placed += 1
    assert placed > 50
    assert {agent.name for agent in AGENTS} >= {name.rpartition("/")[0] for name in recording.states}
