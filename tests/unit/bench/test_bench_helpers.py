"""The bench's pure helpers: records, courses, figures, profiles."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.figures import percentile, ratios
from bench.plan import FULL, QUICK
from bench.profiling import heaviest
from bench.targets import TARGETS, lost
from bench.throughput import Point, first_at, progress_points, rate
from bench.workload import Stream, Workload, index_of
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import partition_of
from properties import examples

SMALL = Workload("small", identities=30, records=400)


def made(workload):
    stream = Stream.empty(workload.partitions)
    return stream, list(stream.make(workload))


def test_the_same_workload_gives_the_same_bytes():
    assert made(SMALL)[1] == made(SMALL)[1]


def test_every_record_is_valid_and_lies_where_its_identity_belongs():
    for place, key, value in made(SMALL)[1]:
        observation = CATALOGUE["observations"].adapter.validate_json(value)
        assert observation["identity_ref"].encode() == key
        assert place == partition_of(key.decode(), SMALL.partitions)


def test_the_event_time_of_a_record_is_its_place_in_the_stream():
    for index, (_, _, value) in enumerate(made(SMALL)[1]):
        assert index_of(orjson.loads(value)["ts"]) == index


def test_the_last_record_of_each_partition_is_of_an_identity_never_seen_before_even_when_a_stream_is_extended():
    stream, records = made(SMALL)
    records += stream.make(SMALL)
    records += stream.close()
    closing = [key for _, key, _ in records if key.startswith(b"last-")]
    assert len(closing) == len(set(closing)) == 3 * SMALL.partitions
    assert [place for place, _, _ in records[-SMALL.partitions :]] == list(range(SMALL.partitions))
    assert stream.last == {place: len(records) - SMALL.partitions + place for place in range(SMALL.partitions)}


def test_a_workload_that_fills_a_memory_has_one_key_per_identity():
    fill = Workload("fill", identities=50, records=300, first=True, one_primitive=True)
    values = [orjson.loads(value) for _, _, value in made(fill)[1]]
    keys = {(value["identity_ref"], value["primitive"]) for value in values}
    assert len(keys) == 50 + fill.partitions
    assert len({value["identity_ref"] for value in values[:50]}) == 50


def test_active_identities_alone_have_traffic():
    few = Workload("few", identities=50, records=300, active=3)
    names = {key for _, key, _ in made(few)[1] if not key.startswith(b"last-")}
    assert names == {b"user-0000000", b"user-0000001", b"user-0000002"}


def test_a_cut_workload_is_the_beginning_of_the_whole_one():
    assert made(SMALL.cut(100))[1][:100] == made(SMALL)[1][:100]
    assert SMALL.cut(10_000) == SMALL


def test_a_course_counts_what_each_partition_had_read():
    stream = Stream.empty(2)
    for place in (0, 1, 0, 0, 1):
        stream._note(place, {"identity_ref": "x"})
    # Changes at records 2 (second of partition 0), 4 (second of partition 1) and 3 (third of partition 0).
    assert progress_points(stream, [(30, 3), (10, 2), (30, 4)]) == [Point(10, 2), Point(30, 5)]


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 403)), min_size=1, max_size=60))
def test_a_course_never_goes_back(changes):
    stream, _ = made(SMALL)
    points = progress_points(stream, changes)
    assert [point.ms for point in points] == sorted({ms for ms, _ in changes})
    assert all(before.read <= after.read for before, after in pairwise(points))


def test_a_rate_runs_from_the_end_of_the_warm_up_to_the_last_record():
    points = [Point(0, 10), Point(1000, 30), Point(2000, 80), Point(4000, 230)]
    assert rate(points, 20, 230) == pytest.approx(200 / 3)


def test_a_course_that_ends_early_is_an_error_not_a_rate():
    with pytest.raises(ValueError, match="only 30 records were read, expected 40"):
        first_at([Point(0, 10), Point(1000, 30)], 40)
    with pytest.raises(ValueError, match="one millisecond"):
        rate([Point(5, 100)], 10, 100)


@settings(max_examples=examples(50))
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_and_not_below_its_share(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


def runs(*rates, **others):
    return [
        {"rate": rate, "cpu_us": 1.0, "broker_us": 1.0, "bytes_in": 100.0, "bytes_out": 300.0} | others
        for rate in rates
    ]


def test_ratios_are_of_medians_and_none_where_nothing_was_measured():
    hot = {"endocrine": runs(10.0, 40.0, 20.0), "bare": runs(40.0, 20.0, 30.0), "ideal": runs(25.0), "quix": []}
    hot |= {"endocrine_prefix": runs(50.0), "faust": runs(5.0), "faust_uvloop": runs(10.0)}
    decisions = {"p50_ms": 3.0, "p99_ms": 9.0, "queue": 1.1}
    measured = {
        "throughput": {"hot": hot},
        "million": {
            "cold": {"endocrine": runs(1.0, cpu_us=20.0, broker_us=4.0), "bare": runs(1.0, cpu_us=15.0, broker_us=1.0)}
        },
        "latency": {
            "endocrine": [decisions],
            "echo_durable": [{"p50_ms": 2.0, "p99_ms": 6.0, "queue": 1.0}],
            "endocrine@1000": [decisions | {"p99_ms": 40.0}],
        },
        "growth": {"few": [120.0], "many": [100.0], "few_same_traffic": [50.0], "many_same_traffic": [40.0]},
        "recovery": {"keys_per_s": [5.0, 7.0, 6.0]},
        "idle": [0.02, 0.01, 0.03],
    }
    found = ratios(measured)
    assert set(found) == set(TARGETS)
    assert found["hot_vs_bare"] == 0.6667
    assert found["hot_vs_ideal"] == 0.8
    assert (found["hot_vs_faust"], found["hot_vs_faust_uvloop"]) == (10.0, 5.0)
    assert found["hot_vs_quix"] is found["cold_vs_bare"] is found["hot_cpu_vs_bare"] is None
    assert found["cold_cpu_vs_bare"] == 1.5
    assert found["hot_bytes_written"] == 3.0
    assert found["latency_p50_vs_echo_durable"] == found["latency_p99_vs_echo_durable"] == 1.5
    assert (found["latency_p99_ms"], found["latency_1000_p99_ms"], found["latency_1000_queue"]) == (9.0, 40.0, 1.1)
    assert (found["growth"], found["growth_same_traffic"]) == (1.2, 1.25)
    assert found["recovery_keys_per_s"] == 6.0
    assert found["idle_core_share"] == 0.02


def test_quix_counts_at_its_best_setting_and_faust_on_the_records_that_we_read_too():
    hot = {"endocrine": runs(90.0), "endocrine_prefix": runs(80.0)}
    found = ratios({"throughput": {"hot": hot | {"quix": runs(30.0), "quix_5s": runs(45.0), "faust": runs(4.0)}}})
    assert found["hot_vs_quix"] == 2.0
    assert found["hot_vs_faust"] == 20.0


def test_every_target_can_be_met_and_missed():
    for target in TARGETS.values():
        if target.bound is None:
            assert target.met(1.0) is None
            continue
        better, worse = (target.bound * 1.01, target.bound * 0.99)[:: 1 if target.sign == ">=" else -1]
        assert (target.met(better), target.met(target.bound), target.met(worse)) == (True, True, False)


def test_only_a_tenfold_loss_fails_a_short_run():
    before = {"hot_vs_bare": 0.6, "latency_p99_ms": 10.0, "hot_vs_faust": None}
    assert lost({"hot_vs_bare": 0.061, "latency_p99_ms": 99.0, "hot_vs_faust": 2.1, "cold_vs_bare": None}, before) == []
    now = {"hot_vs_bare": 0.059, "latency_p99_ms": 101.0, "hot_vs_faust": 1.9, "hot_vs_faust_uvloop": 0.0}
    assert lost(now, before) == ["hot_vs_bare", "latency_p99_ms", "hot_vs_faust"]


def test_a_plan_is_narrowed_in_its_own_order_and_unknown_names_are_refused():
    assert FULL.narrowed("cold,hot", "bare", 2).parts == ("hot", "cold")
    assert FULL.narrowed("", "bare", 2).contenders == ("bare",)
    assert QUICK.narrowed("", "", 0) == QUICK
    assert FULL.narrowed("", "", 0, records=8000).prefix_records == 8000
    with pytest.raises(ValueError, match="unknown contender 'spark'"):
        FULL.narrowed("", "spark", 0)


def test_faust_gets_the_first_of_the_same_records_and_so_do_we_beside_it():
    first = FULL.workload("hot", "bare").cut(FULL.prefix_records)
    assert FULL.workload("hot", "faust") == FULL.workload("hot", "endocrine_prefix") == first
    assert FULL.workload("hot", "endocrine") == FULL.workload("hot", "ideal") == FULL.workload("hot", "quix")


def test_parts_that_take_long_are_repeated_less_often():
    assert FULL.repeats_of("hot") == FULL.repeats
    assert FULL.repeats_of("million") < FULL.repeats
    assert QUICK.repeats_of("million") == 1


def test_a_profile_counts_a_function_once_per_stack_however_deep_it_recurses():
    first, *_ = heaviest(["main;walk;walk;walk 4", "main;other 1"], 5)
    assert (first.function, first.own, first.whole) == ("walk", 0.8, 0.8)


def test_a_profile_of_nothing_is_empty():
    assert heaviest([], 5) == []
