"""Keys of content: found by whoever reads the topic, destroyed for good, and never taken for destroyed when absent."""

import orjson
import pytest

from encrypting import WRAPPING, on_topic, table
from endocrine.pipeline.core.content_keys import ContentKeyError, DataKey, KeyDestroyed, KeyTable, KeyUnknown
from endocrine.pipeline.core.seals import KeyedSeals, SealKey, simulated_seals
from endocrine.pipeline.process.content_key_file import wrapping_keys
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings


def test_a_key_that_one_made_is_the_same_for_who_reads_the_topic():
    maker, reader = table(), table()
    key_id, secret = maker.writing("ann")
    reader.add(on_topic(maker.unsaved([key_id])))
    assert reader.find(key_id) == secret
    assert reader.writing("ann") == (key_id, secret)
    assert reader.writing("bob")[0] != key_id


def test_a_key_is_saved_with_every_batch_until_it_is_seen_on_the_topic():
    keys = table()
    key_id, _ = keys.writing("ann")
    first = keys.unsaved([key_id])
    assert keys.unsaved([key_id]) == first != []
    keys.add(on_topic(first))
    assert keys.unsaved([key_id]) == []


def test_a_destroyed_key_stays_destroyed_and_its_subject_begins_anew():
    keys = table()
    key_id, _ = keys.writing("ann")
    made = keys.unsaved([key_id])
    keys.add(on_topic(made))
    keys.add(on_topic(keys.destroying(["ann"], 5.0)))
    keys.add(on_topic(made))  # a worker that did not know yet produces it again
    with pytest.raises(KeyDestroyed):
        keys.find(key_id)
    assert keys.writing("ann")[0] != key_id
    assert keys.owner(key_id) is not None


def test_all_keys_of_a_subject_are_destroyed_and_nobody_elses():
    one, other = table(), table()
    ids = [keys.writing("ann")[0] for keys in (one, other)]
    bobs = one.writing("bob")[0]
    both = table()
    both.add(on_topic([*one.unsaved([ids[0], bobs]), *other.unsaved([ids[1]])]))
    gone = {orjson.loads(out.value)["key_id"] for out in both.destroying(["ann"], 5.0)}
    assert gone == set(ids)


def test_what_says_that_a_key_is_destroyed_does_not_hold_it():
    keys = table()
    key_id, secret = keys.writing("ann")
    (out,) = keys.destroying(["ann"], 5.0)
    entry = orjson.loads(out.value)
    assert entry == {
        "key_id": key_id,
        "subject": entry["subject"],
        "wrapped": None,
        "wrapped_by": None,
        "destroyed": 5.0,
    }
    assert b"ann" not in out.value
    assert secret.hex() not in repr(DataKey(key_id, "", secret))


def test_a_key_that_is_nowhere_is_not_a_destroyed_one():
    with pytest.raises(KeyUnknown):
        table().find("00" * 8)


def test_a_stranger_destroys_nothing():
    keys, stranger = table(), KeyTable(WRAPPING, KeyedSeals([SealKey("x", b"x" * 32)], "endocrine."), 2)
    key_id, secret = keys.writing("ann")
    made = on_topic(keys.unsaved([key_id]))
    keys.add(made)
    stranger._seals = None
    stranger.add(made)
    keys.add(on_topic(stranger.destroying(["ann"], 5.0)))
    assert keys.find(key_id) == secret


def test_every_line_of_the_file_unwraps_and_the_first_wraps():
    old, new = table(), table([SealKey("w2", b"v" * 32), *WRAPPING])
    key_id, secret = old.writing("ann")
    new.add(on_topic(old.unsaved([key_id])))
    assert new.find(key_id) == secret
    assert orjson.loads(new.unsaved([new.writing("bob")[0]])[0].value)["wrapped_by"] == "w2"


@pytest.mark.parametrize("wrapping", [[SealKey("w2", b"v" * 32)], [SealKey("w1", b"v" * 32)]])
def test_a_key_that_no_line_unwraps_is_named(wrapping):
    keys = table()
    key_id, _ = keys.writing("ann")
    with pytest.raises(ContentKeyError, match=key_id):
        KeyTable(wrapping, simulated_seals(), 2).add(on_topic(keys.unsaved([key_id])))


def test_a_deployment_that_never_encrypted_has_no_file_and_one_that_does_gets_one_on_its_own_machine(tmp_path):
    assert wrapping_keys(Settings(data_dir=tmp_path)) == ()
    on = Settings(data_dir=tmp_path, content_encryption="on")
    assert wrapping_keys(on) == wrapping_keys(on) != ()
    assert wrapping_keys(Settings(data_dir=tmp_path)) == wrapping_keys(on)
    with pytest.raises(KeyFileError, match="ENDOCRINE_CONTENT_KEY_FILE"):
        wrapping_keys(Settings(data_dir=tmp_path / "other", content_encryption="on", bootstrap="kafka.example:9092"))
