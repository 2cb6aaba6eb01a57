"""The five steps and the takeover, on small examples."""

import asyncio
import hashlib

import msgpack
import orjson
import pytest

from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, state_key
from endocrine.pipeline.core.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint
from endocrine.pipeline.core.outbox import decode_outbox
from endocrine.pipeline.runtime.errors import Fatal, Fenced, Retry
from simbroker.broker import FakeStore, MemoryPort


def outboxes(world):
    return [decode_outbox(entry.value) for entry in world.log.ever if entry.key[:1] == b"o"]


def checkpoints(world):
    return [decode_checkpoint(entry.value) for entry in world.log.ever if entry.key == CHECKPOINT_KEY]


def test_a_batch_is_remembered_spoken_and_journaled(world):
    world.send("in", "a")
    life = world.life()
    world.rest(life)
    life.close()
    assert world.said() == ["echo/a/0"]
    assert [checkpoint.next_offsets for checkpoint in checkpoints(world)] == [{"in": 1}]
    assert [entry["runs"] for entry in world.values("journal")] == [[["in", 0, 1]]]


def test_a_crash_after_remember_is_made_good_by_the_successor(world):
    world.send("in", "a")
    first = world.life()
    world.until(first, "checkpoints at")
    first.close()
    assert world.said() == []
    second = world.life()
    world.rest(second)
    second.close()
    assert world.said() == ["echo/a/0"]
    assert len(checkpoints(world)) == 1


class Slow(MemoryPort):
    """Outputs are on their way until somebody waits for them."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._random = lambda: 0.99


def test_a_crash_with_two_batches_in_flight_is_made_good_in_order(world):
    for number in range(4):
        world.send("in", f"a{number}")
    first = world.life(world.processor(Slow, max_records=1))
    world.until(first, "checkpoints at")
    world.until(first, "checkpoints at")
    first.close()
    assert (world.said(), world.values("journal")) == ([], [])
    second = world.life()
    world.rest(second)
    second.close()
    assert world.said() == [f"echo/a{number}/0" for number in range(4)]
    assert [entry["batch"] for entry in world.values("journal")][:2] == [1, 2]


def test_no_more_batches_are_in_flight_than_have_keys_for_their_outboxes(world):
    for number in range(4):
        world.send("in", f"a{number}")
    life = world.life(world.processor(Slow, max_records=1))
    for _ in range(3):
        world.until(life, "checkpoints at")
    life.close()
    assert [entry["batch"] for entry in world.values("journal")] == [1]
    assert [checkpoint.produced for checkpoint in checkpoints(world)] == [0, 0, 1]


def test_a_cancelled_processor_produces_what_it_has_checkpointed(world):
    world.send("in", "a")
    life = world.life(world.processor(Slow))
    world.until(life, "checkpoints at")
    assert world.said() == []
    life.throw(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        world.rest(life)
    assert (world.said(), len(world.values("journal"))) == (["echo/a/0"], 1)


def test_a_takeover_from_the_version_before_produces_the_outbox_that_its_checkpoint_holds(world):
    world.send("in", "a")
    first = world.life()
    world.until(first, "checkpoints at")
    first.close()
    (outbox,), (new,) = outboxes(world), checkpoints(world)
    old = [1, new.epoch, 1, new.next_offsets, new.watermarks, outbox.common, outbox.records]
    for log in (world.log.entries, world.log.ever):
        at = next(at for at, entry in enumerate(log) if entry.key == CHECKPOINT_KEY)
        log[at] = log[at]._replace(value=msgpack.packb(old))
        log[at - 1] = log[at - 1]._replace(key=b"sother", value=b'[["x"],""]')
    world.send("in", "b")
    second = world.life()
    world.rest(second)
    second.close()
    assert world.said() == ["echo/a/0", "echo/b/0"]
    first, second = world.broker.topics["journal", 0]
    assert orjson.loads(second.value)["previous"] == hashlib.sha256(first.value).hexdigest()


def test_a_changelog_without_an_outbox_that_it_needs_is_fatal(world):
    world.log.append([(CHECKPOINT_KEY, encode_checkpoint(Checkpoint(0, 1, {"in": 0})))], epoch=0)
    with pytest.raises(Fatal, match=r"echo/0: changelog.echo, partition 0, no outbox of batch 1"):
        world.rest(world.life())


def test_a_crash_before_remember_leaves_nothing(world):
    world.send("in", "a")
    first = world.life()
    world.until(first, "epoch at")
    first.close()
    assert [entry.key for entry in world.log.ever] == [b"c"]


def test_every_copy_is_the_same_bytes(world):
    world.send("in", "a", say=3)
    first = world.life()
    world.until(first, "produces")
    second = world.life()
    world.rest(second)
    second.close()
    first.close()
    copies = {}
    for raw in world.broker.topics["out", 0]:
        copies.setdefault(dict(raw.headers)["ce_id"], set()).add((raw.key, raw.value, raw.headers))
    assert [len(forms) for forms in copies.values()] == [1, 1, 1]
    assert len(world.said()) == 4


def test_a_zombie_that_remembers_is_fenced_before_it_speaks(world):
    world.send("in", "a")
    zombie = world.life()
    world.until(zombie, "epoch at")  # it has read and thought, and stands before Remember
    owner = world.life()
    world.rest(owner)
    with pytest.raises(Fenced, match="owned anew from 1; ours is 0"):
        world.rest(zombie)
    world.rest(owner)
    owner.close()
    assert world.said() == ["echo/a/0"]


def test_an_idle_zombie_sees_the_newer_claim(world):
    zombie = world.life()
    world.rest(zombie)
    owner = world.life()
    world.rest(owner)
    with pytest.raises(Fenced):
        world.rest(zombie)
    owner.close()


def test_what_a_zombie_overwrote_is_written_again_head_included(world):
    world.send("in", "a")
    owner = world.life()
    world.rest(owner)
    good = dict(owner.cr_frame.f_locals["self"].changelog._store)
    world.log.append([(state_key("ann"), b'[["stale"],""]'), (b"o1", b"stale"), (CHECKPOINT_KEY, b"stale")], epoch=-1)
    world.rest(owner)
    owner.close()
    assert {entry.key: entry.value for entry in world.log.ever[-3:]} == good


def test_a_successor_mends_what_a_zombie_overwrote(world):
    world.send("in", "a")
    owner = world.life()
    world.rest(owner)
    owner.close()
    kept = {entry.key: entry.value for entry in world.log.ever[1:]}
    world.log.append([(state_key("ann"), b'[["stale"],""]')], epoch=-1)
    successor = world.life()
    world.rest(successor)
    successor.close()
    assert world.log.ever[-1][1:3] == (state_key("ann"), kept[state_key("ann")])


def test_a_claim_that_was_compacted_away_still_fences_by_the_one_after_it(world):
    class Slow(MemoryPort):
        """Two others claim between its write and its reading of the gap."""

        async def write_checkpoint(self, items, epoch):
            self._log.append([(b"c", b"{}")], -1)
            base = await super().write_checkpoint(items, epoch)
            self._log.append([(b"c", b"{}")], -1)
            self._log.compact(lag=False)
            return base

    world.send("in", "a")
    zombie = world.life(world.processor(Slow))
    with pytest.raises(Fenced):
        world.rest(zombie)
    assert world.said() == []


def test_a_failed_look_after_remember_is_fatal_for_what_was_remembered_must_be_spoken(world):
    class Deaf(MemoryPort):
        async def write_checkpoint(self, items, epoch):
            self._log.append([(state_key("x"), b"null")], -1)
            return await super().write_checkpoint(items, epoch)

        async def changelog_end(self):
            raise Retry("no answer")

    world.send("in", "a")
    with pytest.raises(Fatal, match="checkpoint written, but cannot see who else wrote: no answer"):
        world.rest(world.life(world.processor(Deaf)))


def test_a_head_beyond_the_topics_end_is_fatal_and_says_what_to_do(world):
    checkpoint = Checkpoint(0, 1, {"in": 7}, produced=1)
    world.log.append([(CHECKPOINT_KEY, encode_checkpoint(checkpoint))], epoch=0)
    with pytest.raises(Fatal, match=r"offset 7 of in, which ends at 0.*new prefix"):
        world.rest(world.life())


def test_a_head_of_another_form_is_fatal(world):
    world.log.append([(CHECKPOINT_KEY, b"\x97\x63\x00\x00\x80\x80\x90\x90")], epoch=0)
    with pytest.raises(Fatal, match=r"echo/0: .*key h: checkpoint of version 99; this build reads 1 and 2"):
        world.rest(world.life())


def test_what_does_not_fit_into_one_batch_is_cut(world):
    for number in range(6):
        world.send("also", f"a{number}", pad="x" * 3000)
    life = world.life(world.processor(max_bytes=4096 + 12_000))
    world.rest(life)
    life.close()
    assert world.said() == [f"echo/a{number}/0" for number in range(6)]
    numbers = [entry["batch"] for entry in world.values("journal")]
    assert numbers == [*range(1, len(numbers) + 1)]
    assert max(len(entry.value) for entry in world.log.ever if entry.value) < 12_000
    assert len(numbers) > 1


def test_a_record_whose_outputs_fit_into_no_batch_is_dead_lettered_and_the_journal_says_so(world):
    world.send("also", "huge", pad="x" * 3000, say=5)
    world.send("also", "small")
    life = world.life(world.processor(max_bytes=4096 + 9000))
    world.rest(life)
    life.close()
    assert world.said() == ["echo/small/0"]
    (letter,) = world.broker.topics["also.dlq", 0]
    assert dict(letter.headers)["endocrine-error-kind"] == b"too_large_result"
    refused = [entry.get("refused") for entry in world.values("journal")]
    assert refused[0].encode() == dict(letter.headers)["endocrine-error"]
    assert refused[1:] == [None]


def test_a_batch_that_fits_with_nothing_thought_neither_is_fatal(world):
    world.send("also", "a")
    with pytest.raises(Fatal, match="nothing processed; raise changelog_message_bytes"):
        world.rest(world.life(world.processor(max_bytes=4096 + 100)))


def test_an_agent_that_fails_sets_the_record_aside_and_goes_on(world):
    world.send("also", "bad", fail=True)
    world.send("also", "good")
    life = world.life()
    world.rest(life)
    life.close()
    assert world.said() == ["echo/good/0"]
    (letter,) = world.broker.topics["also.dlq", 0]
    assert dict(letter.headers)["endocrine-error"].startswith(b"echo failed: ZeroDivisionError at ")


def test_a_finished_key_leaves_a_tombstone(world):
    world.send("also", "a")
    life = world.life()
    world.rest(life)
    world.send("also", "b", end=True)
    world.rest(life)
    life.close()
    assert [entry.value for entry in world.log.ever if entry.key == state_key("ann")][-1] is None


def test_a_producers_retry_changes_nothing_and_other_content_is_refused(world):
    life = world.life()
    for _ in range(2):
        world.send("in", "a")
        world.rest(life)
    world.send("in", "a", pad="other")
    world.rest(life)
    life.close()
    assert world.said() == ["echo/a/0"]
    (letter,) = world.broker.topics["in.dlq", 0]
    assert dict(letter.headers)["endocrine-error-kind"] == b"conflicting_id"


@pytest.mark.parametrize("together", [True, False])
def test_a_finished_key_forgets_its_recent_ids_whether_the_retry_comes_in_the_same_batch_or_later(world, together):
    life = world.life()
    for _ in range(2):
        world.send("in", "a", end=True)
        if not together:
            world.rest(life)
    world.rest(life)
    life.close()
    assert world.said() == ["echo/a/0", "echo/a/0"]


def test_a_copy_of_a_derived_record_is_dropped_and_journaled(world):
    origin = (("endocrine-origin", b"up/src/0/5/0"), ("ce_id", b"up/s/0"))
    life = world.life()
    for _ in range(2):
        world.send("also", "d", headers=origin, sealed=True)
        world.rest(life)
    life.close()
    assert world.said() == ["echo/d/0"]
    assert [entry["runs"] for entry in world.values("journal")] == [[["also", 0, 1]], [["also", 1, 1]]]
    assert checkpoints(world)[-1].watermarks == {"also<up/src/0": (5, 0)}


def test_topics_are_read_by_append_time_and_a_quiet_one_is_waited_for(world):
    """A record of the first topic that came earlier is read first, though the second's was fetched before."""

    class Late(MemoryPort):
        async def fetch(self, wait):
            runs = await super().fetch(wait)
            if not getattr(self, "_held", None) and any(run.topic == "in" for run in runs):
                self._held = [run for run in runs if run.topic == "in"]
                return [run for run in runs if run.topic != "in"]
            held, self._held = getattr(self, "_held", None) or [], []
            return [*held, *runs]

    world.send("in", "earlier")
    for number in range(8):
        world.send("also", f"later{number}")
    life = world.life(world.processor(Late))
    world.rest(life)
    life.close()
    assert world.said()[0] == "echo/earlier/0"
    assert len(world.said()) == 9


@pytest.mark.parametrize("forgets", [False, True])
def test_a_successor_on_the_same_disk_mends_what_its_predecessor_had_no_time_to(world, forgets):
    class Forgetful(FakeStore):
        def flush(self, position, epoch, void):
            super().flush(position, epoch, set())

    world.send("in", "a")
    owner = world.life()
    world.rest(owner)
    owner.close()
    kept = {entry.key: entry.value for entry in world.log.ever[1:]}
    world.log.append([(state_key("ann"), b'[["stale"],""]')], epoch=-1)
    disk = {}
    kind = Forgetful if forgets else FakeStore
    interrupted = world.life(world.processor(store=kind(disk, world.log)))
    world.until(interrupted, "epoch at")  # it has recovered onto its disk, and stands before mending
    interrupted.close()
    successor = world.life(world.processor(store=kind(disk, world.log)))
    world.rest(successor)
    successor.close()
    last = {entry.key: entry.value for entry in world.log.ever}
    assert (last[state_key("ann")] == kept[state_key("ann")]) is not forgets  # the store's mark must name hidden keys


def test_the_journal_record_is_the_last_of_every_outbox(world):
    """It says that the batch is whole, so nothing of the batch may come after it."""
    for number in range(3):
        world.send("in", f"a{number}", say=2)
    life = world.life(world.processor(max_records=2))
    world.rest(life)
    life.close()
    boxes = [[out.topic for out in outbox.records] for outbox in outboxes(world)]
    assert sum(box.count("out") for box in boxes) == 6
    assert all(box.index("journal") == len(box) - 1 for box in boxes)


@pytest.mark.parametrize(("between", "times"), [(31, 1), (32, 2)])
def test_a_producers_copy_is_recognised_for_the_last_32_ids_of_its_identity(world, between, times):
    world.send("in", "a")
    for number in range(between):
        world.send("in", f"b{number}")
    world.send("in", "a")
    life = world.life(world.processor(max_records=100))
    world.rest(life)
    life.close()
    assert world.said().count("echo/a/0") == times
