"""Versions of what is kept: the one before is read, a later one is refused by name, and nothing is lost by that."""

import msgpack
import orjson
import pytest

from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, outbox_key, state_key
from endocrine.pipeline.core.checkpoint import Checkpoint, encode_checkpoint
from endocrine.pipeline.core.formats import CHECKPOINT, FORMATS, OUTBOX, UnknownFormat
from endocrine.pipeline.core.journal import unknown_version
from endocrine.pipeline.core.outbox import compress_outbox
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.state_format import StateFormat, state_format
from endocrine.pipeline.replay.journals import read_journal
from endocrine.pipeline.runtime.errors import Fatal


def lived(world):
    """A world in which one record was processed."""
    world.send("in", "a")
    life = world.life()
    world.rest(life)
    life.close()
    return world


def rewrite(world, key, change):
    """The last record of a changelog key as another version would have written it."""
    log = world.log
    for entries in (log.ever, log.entries):
        for n, entry in enumerate(entries):
            if entry.key == key:
                entries[n] = entry._replace(value=change(entry.value))


def refused(world, message):
    before = set(world.said())
    world.send("in", "b")
    life = world.life()
    with pytest.raises(Fatal, match=message):
        world.rest(life)
    life.close()
    assert set(world.said()) <= before | {"echo/a/0"}  # what was checkpointed may be produced again, nothing else


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_each_kind_is_read_in_the_version_that_is_written_and_in_the_one_before(kind):
    assert kind.reads == tuple(sorted(kind.reads))
    assert {kind.writes, max(1, kind.writes - 1)} <= set(kind.reads)


def later_checkpoint(value):
    return msgpack.packb([9, *msgpack.unpackb(value)[1:], "what this build does not know"])


def test_a_checkpoint_of_a_later_version_stops_the_worker_by_topic_key_and_version(world):
    rewrite(lived(world), CHECKPOINT_KEY, later_checkpoint)
    refused(world, r"changelog.echo, partition 0, key h: checkpoint of version 9; this build reads 1 and 2.*\(v runs\)")


def test_an_outbox_of_a_later_version_stops_the_worker_by_topic_key_and_version(world):
    world.send("in", "a")
    life = world.life()
    world.until(life, "checkpoints at")
    life.close()
    rewrite(world, outbox_key(1, 2), lambda value: b"\x09" + value[1:])
    refused(world, r"changelog.echo, partition 0, key o1: outbox of version 9; this build reads 1\.")


def test_a_state_of_a_later_version_stops_the_worker_before_anything_is_written_over_it(world):
    rewrite(lived(world), state_key("ann"), lambda value: b"\0\x02" + value)
    refused(world, r"partition 0, key s \+ 3 characters: state of version 2; this build reads 1\.")
    assert world.log.ever[-1].key != state_key("ann")


def test_a_state_of_the_version_before_is_brought_up_and_written_in_the_new_one_when_it_changes():
    before, now = StateFormat(True), StateFormat(True, 2, lambda state: {"seen": state})
    stored = before.encode(["a"], ["0" * 18])
    assert stored.startswith(b"[")
    state, recent = now.decode("ann", stored)
    assert (state, recent) == ({"seen": ["a"]}, ["0" * 18])
    written = now.encode(state, recent)
    assert written[:2] == b"\0\x02"
    assert now.decode("ann", written) == (state, recent)
    assert now.encode(None, []) is None
    with pytest.raises(UnknownFormat, match="state of version 2; this build reads 1"):
        before.decode("ann", written)
    with pytest.raises(UnknownFormat, match="state of version 1; this build reads 2 and 3"):
        StateFormat(True, 3, lambda state: state).decode("ann", stored)


def test_an_agent_states_the_version_of_its_states(world):
    agent = world.engine.agent
    assert state_format(agent, world.engine.catalogue) == StateFormat(True)
    agent.state_version, agent.upgrade_state = 2, str
    assert state_format(agent, world.engine.catalogue) == StateFormat(True, 2, str)
    agent.state_version = 256
    with pytest.raises(ValueError, match="echo: state_version 256; expected 1 to 255"):
        state_format(agent, world.engine.catalogue)


def test_a_worker_with_new_states_goes_on_from_old_ones(world):
    lived(world)
    world.engine.agent.state_version = 2
    world.engine.agent.upgrade_state = lambda state: [*state, "upgraded"]
    world.engine.__dict__.pop("_state_format", None)
    world.send("in", "b")
    life = world.life()
    world.rest(life)
    life.close()
    assert world.values("out")[-1]["seen"] == ["a", "upgraded", "b"]
    states = [entry.value for entry in world.log.ever if entry.key == state_key("ann")]
    assert [value[:2] == b"\0\x02" for value in states] == [False, True]


def test_a_journal_record_of_a_later_version_is_a_finding_by_place_and_version():
    found = []
    entry = {"agent": "echo", "partition": 0, "batch": 1, "new": "field"}
    raw = Fetched(0, 5, 1, b"echo/0", orjson.dumps(entry), (("ce_type", b"endocrine.journal.v2"),))
    read_journal(type("Log", (list,), {"start": 0})([raw]), 0, lambda kind, detail: found.append((kind, detail)))
    assert found == [
        (
            "not verifiable",
            "journal/0 at offset 5, of echo/0: journal record of version 2; this build reads 1. Nothing was changed: "
            "start the version that wrote it",
        )
    ]
    assert unknown_version((("ce_type", b"endocrine.journal.v1"),)) is None
    assert unknown_version(()) is None


def test_what_this_build_writes_is_what_it_says():
    assert msgpack.unpackb(encode_checkpoint(Checkpoint(1, 1)))[0] == CHECKPOINT.writes
    assert compress_outbox(b"x")[0] == OUTBOX.writes
