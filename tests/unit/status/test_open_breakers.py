"""Breakers that are open now, from the gate's changelog."""

import orjson

from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, Entry
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.views.status.breakers import open_breakers

RULES = shipped_policy().document.gating
NOW = 1_000_000.0


def entry(offset, identity, circuits, epoch=0):
    state = None if circuits is None else {"clock": NOW, "circuits": circuits}
    return Entry(offset, b"s" + identity.encode(), orjson.dumps([state, ""]), epoch)


def opened(seconds_ago):
    at = NOW - seconds_ago
    return [RULES.circuit.failures, [at, at], None]


def test_a_breaker_counts_until_its_time_is_over():
    entries = [entry(0, "ann", {"browser": opened(1), "search": opened(RULES.circuit.open_s + 1)}),
               entry(1, "bob", {"browser": opened(2), "search": [2, None, None]}), entry(2, "cyr", None)]  # fmt: skip
    assert open_breakers([entries, []], RULES, NOW) == [("browser", 2)]


def test_the_latest_state_of_a_key_counts_and_a_tombstone_ends_it():
    closed = [entry(0, "ann", {"browser": opened(1)}), entry(1, "ann", {})]
    gone = [entry(0, "bob", {"browser": opened(1)}), Entry(1, b"sbob", None, 0)]
    assert open_breakers([closed, gone], RULES, NOW) == []


def test_what_an_earlier_writer_left_after_its_end_does_not_count():
    entries = [entry(0, "ann", {}, epoch=5), entry(6, "ann", {"browser": opened(1)}, epoch=2),
               Entry(7, CHECKPOINT_KEY, b"{}", 5)]  # fmt: skip
    assert open_breakers([entries], RULES, NOW) == []


def test_the_tool_of_most_identities_comes_first():
    entries = [entry(0, "ann", {"a": opened(1), "b": opened(1)}), entry(1, "bob", {"b": opened(1)})]
    assert open_breakers([entries], RULES, NOW) == [("b", 2), ("a", 1)]
