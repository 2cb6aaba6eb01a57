"""Meeting and evidence exactly at their bounds: days, rows, pairs, ties, and values of the longest length."""

from types import SimpleNamespace

import orjson
import pytest

from endocrine.agents.contract import Trigger
from endocrine.agents.evidence.agent import AGENT as EVIDENCE
from endocrine.agents.evidence.agent import BEYOND
from endocrine.agents.linkage.rules import LinkageRules
from linked import POLICY, Linked

DAY = 86_400.0
C2 = "toolchain.c2.c2_callback_endpoint"


@pytest.fixture
def met():
    return Linked(("meeting",))


@pytest.fixture
def under(monkeypatch):
    """Has everything decided under the shipped rules with some of them changed."""

    def change(**rules):
        resolved = orjson.loads(orjson.dumps(POLICY.resolved["linkage"]))
        changed = LinkageRules.model_validate({**resolved, **rules})
        monkeypatch.setattr("linked.POLICY", SimpleNamespace(document=SimpleNamespace(linkage=changed)))

    return change


def shows(met, who, ts, value=None, observation="o"):
    """Evidence under one token, of an exact value, or of a keystroke whose lowest 14 bits must be 0."""
    kind, token = ("c2", "$ev:c2:" + 32 * "a") if value is None else ("keystroke", "$ev:ks:01:0:0")
    shown = "x" if value is None else f"{value << 14:016x}"
    made = met.feed("link-evidence", {"token": token, "kind": kind, "identity": who, "value": shown,
                                      "observation_id": observation, "ts": ts})  # fmt: skip
    return made.get("link-hints", [])


def state_of(met):
    (state,) = (state for (name, _), state in met.states.items() if name == "meeting")
    return state


def test_a_row_of_exactly_the_last_day_still_meets_and_is_still_taken(met):
    shows(met, "ann", 0.0)
    assert [hint["a"] for hint in shows(met, "bob", 30 * DAY)] == ["ann"]
    assert {hint["b"] for hint in shows(met, "cy", 0.0)} == {"cy"}


def test_the_same_row_again_at_the_same_time_is_nothing_new(met):
    shows(met, "ann", 5.0)
    shows(met, "bob", 5.0)
    before = state_of(met)
    assert shows(met, "bob", 5.0, observation="another") == []
    assert state_of(met) == before


def test_rows_that_just_fit_are_not_capped_and_one_more_is(met, under):
    under(holders=3, common_above=2)
    for number in range(3):
        shows(met, f"p{number}", float(number), value=1 << 3 * number)
    assert state_of(met)["capped"] is None
    shows(met, "p3", 3.0, value=1 << 12)
    assert (state_of(met)["capped"], len(state_of(met)["rows"])) == (3.0, 3)


def test_what_is_older_than_all_that_there_is_room_for_is_noted_as_capped(met, under):
    under(holders=3, common_above=2)
    for number in range(3):
        shows(met, f"p{number}", 10.0 + number)
    assert shows(met, "late", 1.0) == []
    assert (state_of(met)["capped"], len(state_of(met)["rows"])) == (12.0, 3)


def test_that_rows_fell_out_is_reported_for_exactly_as_long_as_one_would_be_kept(met, under):
    under(holders=3, common_above=2)
    for number in range(4):
        shows(met, f"p{number}", float(number))
    assert state_of(met)["capped"] == 3.0
    shows(met, "q", 3.0 + 30 * DAY)
    assert state_of(met)["capped"] == 3.0
    shows(met, "q", 3.5 + 30 * DAY)
    assert state_of(met)["capped"] is None


def test_a_common_pair_is_hinted_again_after_exactly_a_day(met, under):
    under(common_above=2)
    for number, who in enumerate(("ann", "bob", "cy")):
        made = shows(met, who, float(number))
    assert [(hint["a"], hint["b"], hint["common"]) for hint in made] == [("ann", "bob", True)]
    assert shows(met, "ann", 1.5 + DAY) == []
    assert [hint["common"] for hint in shows(met, "bob", 2.0 + DAY)] == [True]


def test_of_more_pairs_than_there_is_room_for_the_latest_are_kept(met, under):
    under(pairs=1, common_above=2)
    for ts, (who, value) in enumerate([("ann", 0), ("bob", 1), ("cy", 0xFFFF << 20), ("dee", 0xFFFF << 20)]):
        shows(met, who, float(ts), value=value)
    assert list(state_of(met)["pairs"]) == ['["cy","dee"]']


def test_a_pair_is_forgotten_once_its_hint_is_older_than_evidence_counts(met):
    shows(met, "ann", 0.0)
    shows(met, "bob", 1.0)
    shows(met, "cy", 1.0 + 90 * DAY)
    assert list(state_of(met)["pairs"]) == ['["ann","bob"]']
    shows(met, "cy", 1.5 + 90 * DAY)
    assert list(state_of(met)["pairs"]) == []


def test_of_rows_that_are_equally_near_the_latest_is_hinted(met):
    shows(met, "bob", 1.0, value=1)
    shows(met, "bob", 2.0, value=2)
    (hint,) = shows(met, "ann", 3.0, value=0)
    assert (hint["distance"], hint["seen_b"]) == (1, 2.0)


def observed(state, value, ts):
    trigger = Trigger("observations", "o", "ann", {"primitive": C2, "value": value, "ts": ts})
    return EVIDENCE.process(state, trigger, POLICY)


def test_the_longest_value_is_evidence_and_the_year_10000_is_not():
    assert len(observed(None, 1024 * "a", 1.0)[1]) == 1
    assert len(observed(None, "x", BEYOND - 1.0)[1]) == 1
    state, made = observed(None, "x", float(BEYOND))
    assert (made, state["ignored"]) == ([], 1)
    assert observed(state, "", 1.0)[0]["ignored"] == 2
