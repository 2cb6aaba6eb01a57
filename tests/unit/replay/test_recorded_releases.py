"""What earlier releases have recorded: this build replays it to the byte, and takes over from its changelogs."""

import json
from typing import Any

import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, Recovered, entries_of
from endocrine.pipeline.core.checkpoint import decode_checkpoint
from endocrine.pipeline.core.formats import FORMATS
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.outbox import last_outbox, outboxes_to_produce
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.core.state_format import state_format
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.recorded_seals import RecordedSeals, prepared
from endocrine.pipeline.replay.state_at import Traveller
from endocrine.pipeline.replay.verify import Verifier, verified_topics
from recorded_releases import RecordedRelease, releases, written_versions

BY_NAME = {agent.name: agent for agent in AGENTS}


@pytest.fixture(scope="module", params=releases(), ids=lambda one: one.name)
def recorded(request: pytest.FixtureRequest) -> RecordedRelease:
    return request.param


def topics_of(recorded: RecordedRelease) -> dict[Any, Any]:
    """Its records for replay; topics that it did not have yet are empty."""
    places = [(topic, n) for topic in verified_topics() for n in range(recorded.manifest["partitions"])]
    return {place: recorded.logs.get(place, []) for place in places}


def changelogs(recorded: RecordedRelease) -> dict[str, dict[bytes, bytes]]:
    """What a worker that takes over finds, by unit."""
    found: dict[str, dict[bytes, bytes]] = {}
    for (topic, n), log in recorded.logs.items():
        if topic.startswith("changelog."):
            store = found[f"{topic.removeprefix('changelog.')}/{n}"] = {}
            Recovered(store).apply(entries_of(log))
    return {unit: store for unit, store in found.items() if CHECKPOINT_KEY in store}


def test_histories_of_releases_are_there() -> None:
    assert len(releases()) >= 2


def test_every_record_of_a_release_is_made_again_to_the_byte_and_under_its_seals(recorded: RecordedRelease) -> None:
    seals = RecordedSeals(simulated_seals(recorded.manifest["prefix"]))
    logs = prepared(topics_of(recorded), seals)
    report = Verifier(
        logs, PolicyHistory(logs), partitions=recorded.manifest["partitions"], sizes=Sizes(), seals=seals
    ).run(AGENTS)
    assert report.proved, (report.findings, report.not_verifiable, report.differences[:3])
    assert report.batches > 50
    assert report.compared > 200
    assert (report.seals_checked or 0) > 200


def test_a_worker_of_this_build_takes_over_from_the_changelogs_of_a_release(recorded: RecordedRelease) -> None:
    units = changelogs(recorded)
    assert len(units) > 10
    for store in units.values():
        checkpoint = decode_checkpoint(store[CHECKPOINT_KEY])
        assert checkpoint.batch > 0
        last = last_outbox(checkpoint, store.get)
        assert last is not None
        assert last.records[-1].topic == "journal"
        assert all(outbox.records for outbox in outboxes_to_produce(checkpoint, store.get))


def test_states_in_the_changelogs_of_a_release_are_those_that_replay_comes_to(recorded: RecordedRelease) -> None:
    logs = topics_of(recorded)
    at = Traveller(logs, PolicyHistory(prepared(logs, RecordedSeals())), partitions=2, sizes=Sizes())
    replayed = {(one.agent, one.partition, one.key): one.state for one in at.states(AGENTS, None)}
    assert not at.problems
    kept = {}
    for unit, store in changelogs(recorded).items():
        agent, _, n = unit.rpartition("/")
        form = state_format(BY_NAME[agent])
        for key, state in store.items():
            if key[:1] == b"s" and (name := key[1:].decode()) != CHAIN_KEY:
                kept[agent, int(n), name] = form.decode(name, state)[0]
    assert len(kept) > 30
    assert kept == replayed


def test_the_manifest_of_a_release_says_what_it_wrote_and_this_build_reads_it(recorded: RecordedRelease) -> None:
    raws = [(topic, raw.key, raw.value, raw.headers) for (topic, _), log in recorded.logs.items() for raw in log]
    assert written_versions(raws) == recorded.manifest["writes"]
    reads = {kind.name: kind.reads for kind in FORMATS}
    for name, versions in recorded.manifest["writes"].items():
        assert set(versions) <= set(reads[name]), name


def test_the_last_release_reads_what_this_build_writes_so_that_both_can_share_a_group() -> None:
    known = [one.manifest for one in releases() if one.manifest["reads"] is not None]
    assert known, "no history says what its release reads; expected the one of the last release to"
    for kind in FORMATS:
        assert kind.writes in known[-1]["reads"][kind.name], (
            f"{kind.name}: the last release ({known[-1]['version']}) does not read version {kind.writes}; read it in "
            f"one release, write it in the next (docs/upgrades.md). {json.dumps(known[-1]['reads'])}"
        )
