"""Kafka's jars: locked, checked, fetched by Maven or jgo, and kept for all checkouts."""

import hashlib
import json
import threading

import pytest

from endocrine.pipeline.local import cache, downloads, jars
from endocrine.pipeline.local.jars import Jar, Stopped, kafka_jars
from endocrine.pipeline.process.subprocesses import BrokerError

CONTENT = {"one": b"first jar", "two": b"second jar"}
LOCKED = tuple(
    Jar("org.example", name, "1", hashlib.sha256(text).hexdigest(), len(text)) for name, text in CONTENT.items()
)


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A cache of its own, no Maven, two small jars in the lock file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv(jars.VARIABLE, raising=False)
    monkeypatch.setattr(jars, "locked", lambda: LOCKED)
    monkeypatch.setattr(jars, "kafka_version", lambda: "1")


@pytest.fixture
def fetches(monkeypatch):
    """jgo, which fetches from a dictionary; gives what was asked of it."""
    asked = []

    def fetch(wanted, folder, progress):
        for jar in wanted:
            asked.append(jar.artifact)
            progress(0, 10)
            (folder / jar.name).write_bytes(CONTENT[jar.artifact])

    monkeypatch.setattr(downloads, "jgo", fetch)
    return asked


def program(folder, name, text):
    path = folder / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_lock_file_names_each_jar_once_with_its_digest():
    locked = json.loads((jars.resources.files("endocrine.pipeline.local") / jars.LOCK).read_text())["jars"]
    assert len({jar["coordinates"] for jar in locked}) == len(locked) > 40
    assert all(len(jar["sha256"]) == 64 and jar["bytes"] > 0 for jar in locked)


def test_jars_are_fetched_once_for_all_checkouts(fetches, tmp_path):
    paths = kafka_jars()
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert all(path.is_relative_to(tmp_path / "cache" / "endocrine") for path in paths)
    assert kafka_jars() == paths
    assert fetches == ["one", "two"]


def test_a_jar_that_was_changed_on_disk_is_fetched_again_and_only_that(fetches):
    kafka_jars()[1].write_bytes(b"second jaR")
    assert kafka_jars()[1].read_bytes() == b"second jar"
    assert fetches == ["one", "two", "two"]


def test_a_jar_that_arrives_otherwise_than_locked_is_not_kept(fetches, monkeypatch):
    monkeypatch.setitem(CONTENT, "two", b"something else")
    with pytest.raises(BrokerError, match=r"org\.example:two:1 is not what is locked.*ENDOCRINE_KAFKA_JARS=DIR"):
        kafka_jars()
    folder = cache.cache_folder()
    assert [path.name for path in folder.rglob("*.jar")] == ["one-1.jar"]
    assert list(folder.rglob(".part-*")) == []


def test_a_fetch_that_was_cut_short_goes_on_where_it_was(fetches):
    def stop(done, total):
        if fetches[-1:] == ["two"]:
            raise Stopped

    with pytest.raises(Stopped):
        kafka_jars(stop)
    kafka_jars()
    assert fetches == ["one", "two", "two"]


def test_what_a_killed_fetch_left_is_removed(fetches):
    kafka_jars()[0].unlink()
    left = cache.cache_folder() / next(cache.cache_folder().glob("kafka-*")) / ".part-killed"
    left.mkdir()
    kafka_jars()
    assert not left.exists()


def test_two_fetches_at_once_fetch_each_jar_once(fetches):
    threads = [threading.Thread(target=kafka_jars) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetches == ["one", "two"]


def test_maven_is_used_where_it_is_and_jgo_where_that_fails(fetches, tmp_path):
    program(tmp_path, "mvn", "echo '[ERROR] no network'; exit 1")
    kafka_jars()
    assert fetches == ["one", "two"]


def test_what_maven_fetched_is_checked_and_the_rest_is_left_to_jgo(fetches, tmp_path):
    place = 'for a in "$@"; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done'
    program(tmp_path, "mvn", f"{place}; printf 'first jar' > $d/one-1.jar")
    kafka_jars()
    assert fetches == ["two"]


def test_when_nothing_can_fetch_them_every_reason_is_named(monkeypatch, tmp_path):
    def refused(wanted, folder, progress):
        raise downloads.DownloadError("jgo: ConnectionError: no route")

    monkeypatch.setattr(downloads, "jgo", refused)
    program(tmp_path, "mvn", "echo '[ERROR] no network'; exit 3")
    with pytest.raises(BrokerError, match=r"such as org\.example:one:1.*exit code 3.*no network.*no route"):
        kafka_jars()


def test_a_named_folder_is_used_if_it_holds_what_is_locked(monkeypatch, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    monkeypatch.setenv(jars.VARIABLE, str(folder))
    (folder / "one-1.jar").write_bytes(CONTENT["one"])
    with pytest.raises(BrokerError, match=r"ENDOCRINE_KAFKA_JARS: 1 of 2 jars are missing .* such as two-1\.jar"):
        kafka_jars()
    (folder / "two-1.jar").write_bytes(CONTENT["two"])
    assert kafka_jars() == [folder / "one-1.jar", folder / "two-1.jar"]


def test_a_cache_that_cannot_be_written_is_an_error_that_names_it(monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BrokerError, match=r"cannot be kept in .*cache.*XDG_CACHE_HOME"):
        kafka_jars()


def test_a_relative_cache_folder_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "endocrine"
