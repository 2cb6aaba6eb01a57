"""The meeting agent: who meets under a token, when a pair is hinted, what is common, and what is remembered."""

import random
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked import RULES, Linked
from properties import examples

DAY = 86_400.0


@pytest.fixture
def met():
    return Linked(("evidence", "meeting"))


def bits(value, *flipped):
    for bit in flipped:
        value ^= 1 << bit
    return f"{value:016x}"


def hints(made):
    return made.get("link-hints", [])


def outcome(linked):
    """What a set of hints says in the end: the nearest distance of each pair, and whether it is common."""
    found = {}
    for hint in linked.made.get("link-hints", []):
        key = hint["a"], hint["b"], hint["kind"], None if "distance" in hint else hint["value_digest"]
        nearest, common = found.get(key, (64, False))
        found[key] = min(nearest, hint.get("distance", 0)), common or hint.get("common", False)
    return {key: nearest for key, (nearest, common) in found.items() if not common}


def test_two_that_show_one_value_are_hinted_once(met):
    assert not hints(met.see("bob", "c2", "x", 5.0))
    (hint,) = hints(met.see("ann", "c2", "x", 9.0))
    digest = hint.pop("value_digest")
    assert (len(digest), hint.pop("observations")) == (32, ["ann-3", "bob-1"])
    assert hint == {"a": "ann", "b": "bob", "kind": "c2", "seen_a": 9.0, "seen_b": 5.0, "holders": 2, "ts": 9.0}
    assert not hints(met.see("ann", "c2", "y", 9.0))
    assert not hints(met.see("cy", "hassh", "x", 9.0)), "another kind is another value"


@pytest.mark.parametrize(("distance", "found"), [(0, True), (7, True), (8, False)])
def test_keystrokes_meet_within_distance_7_and_not_beyond(met, distance, found):
    met.see("ann", "keystroke", bits(0))
    made = hints(met.see("bob", "keystroke", bits(0, *range(56, 56 + distance))))
    assert {hint["distance"] for hint in made} == ({distance} if found else set())


def test_a_pair_is_hinted_again_for_a_smaller_distance_and_after_a_day(met):
    met.see("ann", "keystroke", bits(0), 0.0)
    assert {hint["distance"] for hint in hints(met.see("bob", "keystroke", bits(0, 60, 61, 62), 1.0))} == {3}
    assert not hints(met.see("bob", "keystroke", bits(0, 60, 61, 62, 63), 2.0)), "further away"
    assert {hint["distance"] for hint in hints(met.see("bob", "keystroke", bits(0, 60), 3.0))} == {1}
    again = hints(met.see("ann", "keystroke", bits(0), 3.0 + DAY))
    assert {(hint["distance"], hint["seen_a"], hint["seen_b"]) for hint in again} == {(1, 3.0 + DAY, 3.0)}


def test_who_held_it_more_than_30_days_ago_is_forgotten(met):
    met.see("ann", "c2", "x", 0.0)
    assert not hints(met.see("bob", "c2", "x", 30 * DAY + 1))
    assert not hints(met.see("cy", "c2", "x", 0.0)), "too late to be remembered"
    assert [hint["b"] for hint in hints(met.see("cy", "c2", "x", 30 * DAY))] == ["cy"]


@pytest.mark.parametrize("kind", ["c2", "keystroke"])
def test_the_21st_holder_withdraws_what_was_hinted(met, kind):
    names = [f"p{number:02}" for number in range(RULES.common_above + 2)]
    for name in names[:20]:
        made = hints(met.see(name, kind, bits(7)))
        assert not [hint for hint in made if "common" in hint]
    assert len(outcome(met)) == 190
    made = hints(met.see(names[20], kind, bits(7)))
    assert {hint["common"] for hint in made} == {True}
    assert {hint["holders"] for hint in made} == {21}
    assert len([hint for hint in made if names[20] not in (hint["a"], hint["b"])]) == 190
    assert outcome(met) == {}
    met.see(names[21], kind, bits(7))
    assert outcome(met) == {}, "and stays withdrawn"
    if kind == "c2":
        assert len(made) == 190, "no new pair of a common value is hinted"


def test_a_keystroke_is_common_where_too_many_lie_near_one_of_the_two(met):
    # A star: each lies 4 bits from the middle, and 8 from the others: all but the middle have few near them.
    spread = [tuple(range(n, 50, 12))[:4] for n in range(12)]
    spread += [tuple(range(n * 4, n * 4 + 4)) for n in range(9)]
    for number, flipped in enumerate(spread):
        shows(met, f"p{number:02}", bits(0, *(14 + bit for bit in flipped)), 1.0)
    few = outcome(met)
    assert few
    shows(met, "middle", bits(0), 2.0)
    assert {key[:2] for key in outcome(met)} == {key[:2] for key in few}, (
        "the middle's pairs are common, the others' not"
    )
    assert {hint["a"] for hint in met.made["link-hints"] if "common" in hint} == {"middle"}


@settings(max_examples=examples(12), deadline=None)
@given(st.data())
def test_the_outcome_does_not_depend_on_who_came_first(data):
    crowded = data.draw(st.booleans())
    shown = [(f"p{n:02}", "c2", "tool", 1.0 + n) for n in range(data.draw(st.integers(19, 22)))] if crowded else []
    shown += data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(["ann", "bob", "cy", "dee"]),
                st.just("keystroke"),
                st.sets(st.integers(0, 63), max_size=5).map(lambda flipped: bits(0, *flipped)),
                st.floats(0, 20 * DAY),
            ),
            max_size=7,
        )
    )
    found = []
    for order in (shown, data.draw(st.permutations(shown)), data.draw(st.permutations(shown))):
        linked = Linked(("evidence", "meeting"))
        for one in order:
            linked.see(*one)
        found.append(outcome(linked))
    assert found[0] == found[1] == found[2]


def test_three_in_any_order_give_the_same_pairs():
    shown = [("ann", bits(0)), ("bob", bits(0, 1, 2)), ("cy", bits(0, 1, 2, 3, 4, 5, 6, 7, 8))]
    found = []
    for order in permutations(shown):
        linked = Linked(("evidence", "meeting"))
        for who, value in order:
            linked.see(who, "keystroke", value)
        found.append({key[:2]: nearest for key, nearest in outcome(linked).items()})
    assert found == [{("ann", "bob"): 2, ("bob", "cy"): 6}] * 6


def shows(met, who, value, ts):
    """Evidence under one token; the lowest 14 bits, which the token says, must be 0."""
    return met.feed("link-evidence", {"token": "$ev:ks:01:0:0", "kind": "keystroke", "identity": who, "value": value,
                                      "observation_id": "o", "ts": ts})  # fmt: skip


def token_state(met):
    (state,) = (state for (agent, _), state in met.states.items() if agent == "meeting")
    return state


def test_beyond_256_rows_the_oldest_goes_and_the_hint_says_so(met):
    apart = random.Random(1)
    values = [bits(apart.getrandbits(50) << 14) for _ in range(RULES.holders + 1)]
    for number, value in enumerate(values):
        shows(met, f"p{number:03}", value, float(number))
    state = token_state(met)
    assert state["rows"][0][0] == "p001"
    assert (len(state["rows"]), state["capped"]) == (RULES.holders, float(RULES.holders))
    made = hints(shows(met, "late", values[-1], 300.0))
    assert [(hint["b"], hint["capped"]) for hint in made] == [("p256", True)]
    before = len(token_state(met)["rows"])
    assert hints(shows(met, "later", values[-1], 1.0)) == [], "older than all that there is room for"
    assert len(token_state(met)["rows"]) == before


def test_one_identity_holds_8_rows_of_a_token_at_most(met):
    for number in range(20):
        shows(met, "ann", bits(number << 14), float(number))
    assert [row[2] for row in token_state(met)["rows"]] == [float(number) for number in range(12, 20)]
    assert token_state(met)["pairs"] == {}, "nobody meets himself"


def test_the_state_of_a_token_is_bounded_whatever_comes(met):
    rng = random.Random(2)
    for number in range(262):
        value = bits(0, *rng.sample(range(14, 64), rng.randint(0, 4)))
        shows(met, f"{number:0256}", value, float(number))
    state = token_state(met)
    assert (len(state["rows"]), len(state["pairs"])) == (RULES.holders, RULES.pairs)
    assert met.largest("meeting") < 1 << 19
