"""What a person is told when a local broker cannot be had."""

import os

import pytest

from pipeline import child, embedded, kafka_node
from pipeline.child import BrokerError


def program(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_missing_java_is_named_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(BrokerError, match=r"Java 17 or newer; java is missing.*openjdk-17"):
        kafka_node.java()


def test_a_java_that_is_too_old_is_named_with_its_version(monkeypatch, tmp_path):
    program(tmp_path, "bin/java", """echo 'openjdk version "11.0.2" 2019' >&2""")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match=r"17 or newer; .*bin/java is 11"):
        kafka_node.java()


def test_a_recent_java_is_taken_from_java_home(monkeypatch, tmp_path):
    found = program(tmp_path, "bin/java", """echo 'openjdk version "21" 2023' >&2""")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert kafka_node.java() == str(found)


def test_jars_are_fetched_once_per_pom_and_a_failed_fetch_is_not_taken_for_one(monkeypatch, tmp_path):
    pom = tmp_path / "pom.xml"
    pom.write_text("<project/>")
    libs = tmp_path / "libs"
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    program(tmp_path, "bin/mvn", "echo 'no network'; exit 1")
    with pytest.raises(BrokerError, match=r"exit code 1\):\s+no network"):
        kafka_node.fetch(pom, libs)
    assert not libs.exists()
    place = 'for a in "$@"; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done'
    program(tmp_path, "bin/mvn", f"{place}; mkdir -p $d; touch $d/kafka_2.13.jar; echo x >> {tmp_path / 'calls'}")
    kafka_node.fetch(pom, libs)
    kafka_node.fetch(pom, libs)
    assert (libs / "kafka_2.13.jar").exists()
    assert (tmp_path / "calls").read_text() == "x\n"
    pom.write_text("<project>other</project>")
    kafka_node.fetch(pom, libs)
    assert (tmp_path / "calls").read_text() == "x\nx\n"


def test_a_missing_maven_is_named(monkeypatch, tmp_path):
    (tmp_path / "pom.xml").write_text("<project/>")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match="mvn is missing"):
        kafka_node.fetch(tmp_path / "pom.xml", tmp_path / "libs")


def test_a_pid_of_another_process_is_not_taken_for_a_node(tmp_path):
    (tmp_path / "node").write_text(f"{os.getpid()} 127.0.0.1:9092\n")
    assert kafka_node.running_node(tmp_path) is None
    assert kafka_node.down(tmp_path) is False


def test_a_missing_program_of_the_embedded_broker_is_named_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded.resources, "files", lambda _: tmp_path)
    with pytest.raises(BrokerError, match=r"noida-db.*make install.*make kafka"):
        embedded.binary()


def test_a_folder_never_used_runs_no_broker(tmp_path):
    assert embedded.running(tmp_path / "nowhere") is None


def test_the_end_of_a_log_leaves_out_blank_lines_and_the_loaders_harmless_warning(tmp_path):
    log = tmp_path / "log"
    log.write_text("\n".join([*map(str, range(20)), "", "x: weak version `GLIBC_2.39' not found", "last"]))
    assert child.last_lines(log, 2) == "    19\n    last"
