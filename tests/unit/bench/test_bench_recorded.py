"""What `ideal` writes is what our worker writes; jobs; how an old checkout is run beside this one."""

import subprocess
import sys
from collections import Counter

import orjson
import pytest

from bench.against import mapped, verdict
from bench.competitors.job import Job
from bench.latency import queue_growth
from bench.machine import topic_bytes
from bench.recorded import CHANGELOG, record, recorded
from bench.runner import ROOT, expected
from bench.throughput import Point
from bench.two import together
from bench.workload import Stream, Workload

SMALL = Workload("small", identities=30, records=300)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "recorded"
    record(list(Stream.empty(SMALL.partitions).make(SMALL)), SMALL.partitions, folder, "bench.", at_once=40)
    return {partition: recorded(folder, partition) for partition in range(SMALL.partitions)}


def test_what_ideal_writes_holds_every_change_of_the_fold(steps):
    changes = Counter(
        value
        for found in steps.values()
        for _, batches in found
        for topic, records in batches
        if topic == "attribution-changes"
        for _, value, _ in records
    )
    assert changes.total() == expected(SMALL).total() > 0


def test_what_ideal_writes_begins_with_the_changelog_and_has_all_topics_with_their_headers(steps):
    stream = Stream.empty(SMALL.partitions)
    list(stream.make(SMALL))
    for partition, found in steps.items():
        assert found[-1][0] == stream.counts[partition]
        for _, batches in found:
            assert batches[0][0] == CHANGELOG
            assert {topic for topic, _ in batches} >= {"attribution-states", "journal"}
            for topic, records in batches[1:]:
                for _, value, headers in records:
                    assert {"ce_id", "endocrine-seal", "endocrine-cut"} <= dict(headers).keys(), topic
                    assert orjson.loads(value)


def test_smaller_batches_write_a_state_more_often(steps, tmp_path):
    def states(found):
        return sum(len(records) for _, batches in found for topic, records in batches if topic == "attribution-states")

    record(list(Stream.empty(SMALL.partitions).make(SMALL)), SMALL.partitions, tmp_path / "x", "bench.", at_once=5)
    assert all(states(recorded(tmp_path / "x", number)) > states(found) for number, found in steps.items())


def test_a_job_names_no_later_field_that_an_older_checkout_would_not_know():
    plain = Job("127.0.0.1:1", "p.", 4, "/tmp/x")
    assert list(plain.given()) == ["bootstrap", "prefix", "partitions", "folder", "agents"]
    assert Job("127.0.0.1:1", "p.", 4, "/tmp/x", compression="lz4").given()["compression"] == "lz4"


def test_more_is_better_of_rates_and_less_of_all_else():
    assert verdict("hot_per_s", [100.0] * 3, [80.0] * 3).word == "worse"
    assert verdict("hot_cpu_us", [100.0] * 3, [80.0] * 3).word == "better"
    assert verdict("hot_cpu_us", [100.0] * 3, [80.0] * 3).ratio == 1.25


def test_a_change_within_the_noise_of_either_side_is_none():
    noisy = [60.0, 80.0, 100.0, 120.0, 140.0]
    assert verdict("hot_per_s", noisy, [85.0] * 5).word == "same"
    assert verdict("hot_per_s", [100.0] * 5, [96.0] * 5).word == "same"
    assert verdict("hot_per_s", [100.0] * 5, [94.0] * 5).word == "worse"


def test_links_on_the_path_win_over_an_editable_installation(tmp_path):
    other = tmp_path / "checkout"
    public = other / "pipeline" / "public"
    public.mkdir(parents=True)
    for folder in ("agents", "config", "schemas"):
        (other / folder).mkdir()
    (public / "__init__.py").write_text("")
    for folder in ("agents", "config", "schemas", "pipeline"):
        (other / folder / "__init__.py").write_text("OLD = True")
    mapping = mapped(other, tmp_path / "mapping")
    code = "import endocrine, endocrine.agents, endocrine.pipeline; print(endocrine.agents.OLD, endocrine.__file__)"
    env = {"PYTHONPATH": str(mapping)}
    found = subprocess.run([sys.executable, "-c", code], env=env, cwd="/", capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", str(mapping / "endocrine" / "__init__.py")]


def test_a_checkout_without_the_package_is_refused(tmp_path):
    with pytest.raises(ValueError, match="pipeline/public is missing"):
        mapped(tmp_path, tmp_path / "mapping")


def test_a_queue_that_grows_is_seen_in_the_last_answers():
    assert queue_growth([2.0] * 40) == 1.0
    assert queue_growth([float(n) for n in range(1, 41)]) > 5


def test_the_courses_of_two_workers_are_one():
    assert together([[Point(1, 5), Point(4, 9)], [Point(2, 4)]]) == [Point(1, 5), Point(2, 9), Point(4, 13)]


def test_bytes_are_counted_by_topic_and_only_of_one_contender(tmp_path):
    deleted = "b1.x.observations-2.02afd38a-delete"
    for name, size in (
        ("b1.x.observations-0", 5),
        ("b1.x.observations-1", 7),
        ("b2.x.observations-0", 9),
        (deleted, 3),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "00000000000000000000.log").write_bytes(bytes(size))
        (tmp_path / name / "00000000000000000000.index").write_bytes(bytes(100))
    assert topic_bytes(tmp_path, "b1.x.") == {"b1.x.observations": 12}


@pytest.mark.slow
@pytest.mark.parametrize("module", ["replay", "seals"])
def test_the_benchmarks_without_a_broker_run(module):
    sizes = {"replay": ["--observations", "200", "--turns", "20"], "seals": ["--count", "40"]}
    argv = [sys.executable, "-m", f"bench.{module}", *sizes[module]]
    found = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "modulation" in found.stdout
