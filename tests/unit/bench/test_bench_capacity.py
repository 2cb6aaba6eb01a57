"""Capacity: arithmetic on what was measured, and the page that shows it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capacity import NUMBERS, PAGE, page
from bench.capacity_model import Assumptions, Cost, cost_of, need, numbers, worker_rate

COST = Cost(rate=50_000.0, cpu_us=10.0, broker_us=5.0, bytes_in=250.0, bytes_out=750.0)
GIVEN = Assumptions()
costs = st.builds(
    Cost,
    rate=st.floats(100, 1e5),
    cpu_us=st.floats(1, 1e4),
    broker_us=st.floats(0.1, 1e3),
    bytes_in=st.floats(10, 1e4),
    bytes_out=st.floats(10, 1e5),
)


def test_the_page_is_the_one_of_the_numbers_file():
    assert PAGE.read_text() == page(json.loads(NUMBERS.read_text())), "run `make capacity`"


def test_the_page_names_the_machine_and_says_where_it_was_not_quiet():
    found = json.loads(NUMBERS.read_text())
    busy = page(found | {"machine": found["machine"] | {"busy_elsewhere": 0.3}})
    quiet = page(found | {"machine": found["machine"] | {"busy_elsewhere": 0.01}})
    assert found["machine"]["cpu"] in busy
    assert "Other processes took 30% of that machine" in busy
    assert "Other processes" not in quiet


def test_what_was_not_measured_is_not_on_the_page():
    found = {name: value for name, value in json.loads(NUMBERS.read_text()).items() if name != "decision"}
    assert "## Decision" not in page(found)
    assert "| recovery | not measured |" in page({**found, "recovery_keys_per_s": None})


def test_a_worker_is_planned_for_part_of_what_it_did_or_of_its_core_whichever_is_less():
    assert worker_rate(COST, GIVEN) == pytest.approx(0.6 * 50_000)
    assert worker_rate(COST._replace(cpu_us=50.0), GIVEN) == pytest.approx(0.6 * 20_000)
    assert worker_rate(COST._replace(rate=0.0), GIVEN) == pytest.approx(0.6 * 100_000)


def test_ten_thousand_events_a_second_take_one_worker_and_three_brokers():
    found = need(10_000, COST, GIVEN, topics=90)
    assert (found.workers, found.partitions, found.brokers, found.cells) == (1, 4, 3, 1)
    assert found.bytes_s == pytest.approx(10_000 * 1000 * 3)


def test_what_a_cell_runs_into_first_is_what_bounds_it():
    assert need(1, COST, replace(GIVEN, group_members=1), 90).first.startswith("workers")
    assert need(1, COST, replace(GIVEN, broker_bytes_s=1e6), 90).first.startswith("broker disk")
    assert need(1, COST, replace(GIVEN, broker_cores=1, cell_brokers=3), 1).first.startswith("broker CPU")
    assert need(1, COST, replace(GIVEN, broker_replicas=100), 90).first.startswith("partition replicas")
    assert need(1, COST, replace(GIVEN, spread=1024), 1).first.startswith("partitions")


@given(costs, st.integers(1, 10**8), st.integers(1, 200))
def test_more_events_never_need_less_and_no_worker_gets_more_than_is_planned(cost, events, topics):
    some, more = need(events, cost, GIVEN, topics), need(10 * events, cost, GIVEN, topics)
    assert more.workers >= some.workers
    assert more.cells >= some.cells
    assert more.bytes_s >= some.bytes_s
    assert events / some.workers <= worker_rate(cost, GIVEN) * (1 + 1e-9)
    assert some.workers / some.cells <= GIVEN.group_members


def test_numbers_are_medians_of_what_was_measured():
    run = {"rate": 10.0, "cpu_us": 1.0, "broker_us": 2.0, "bytes_in": 3.0, "bytes_out": 4.0}
    results = {
        "machine": {"cpu": "x"},
        "repeats": 3,
        "measured": {
            "throughput": {"hot": {"endocrine": [run, run | {"rate": 30.0}, run | {"rate": 20.0}], "bare": [run]}},
            "latency": {"endocrine@1000": [{"cpu_us": 700.0, "broker_us": 90.0, "p50_ms": 1.0}]},
            "idle": [0.01],
        },
    }
    found = numbers(results)
    assert cost_of(found["hot"]) == Cost(20.0, 1.0, 2.0, 3.0, 4.0)
    assert cost_of(found["decision"]) == Cost(0.0, 700.0, 90.0, 0.0, 0.0)
    assert found["idle_core_share"] == 0.01
    assert "cold" not in found
