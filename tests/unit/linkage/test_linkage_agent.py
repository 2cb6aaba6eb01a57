"""The linkage agent: scores, what is proposed and when, what operators can do, and how long evidence counts."""

from itertools import permutations

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from endocrine.agents.linkage.rules import LinkageRules
from linked import POLICY, RULES, Linked
from properties import examples

DAY = 86_400.0
KS = "00ff00ff00ff00ff"


@pytest.fixture
def linked():
    return Linked()


def share(linked, *kinds, ts=1_000.0, a="ann", b="bob"):
    """Both show one value of each kind; the events that this led to."""
    before = len(linked.made.get("link-events", []))
    for kind in kinds:
        for who in (a, b):
            linked.see(who, kind, KS if kind == "keystroke" else f"{kind}-value", ts)
    return linked.made.get("link-events", [])[before:]


def kinds_of(events):
    return [event["kind"] for event in events]


@pytest.mark.parametrize(
    ("kinds", "score", "status"),
    [
        (["keystroke"], 0.70, "observed"),
        (["c2"], 0.70, "observed"),
        (["keystroke", "hassh"], 0.82, "observed"),
        (["keystroke", "hassh", "jarm"], 0.892, "proposed"),
        (["keystroke", "c2"], 0.91, "proposed"),
        (["hassh", "jarm", "tcp"], 0.694, "observed"),
        (["tcp"], 0.15, "observed"),
    ],
)
def test_the_score_is_of_the_kinds_that_match_each_once(linked, kinds, score, status):
    share(linked, *kinds)
    (link,) = linked.links.values()
    assert (link["score"], link["status"], link["by"]) == (score, status, "linkage")
    assert [piece["kind"] for piece in link["evidence"]] == [kind for kind in RULES.kinds if kind in kinds]
    assert all(piece["counted"] for piece in link["evidence"])


def test_two_values_of_one_kind_count_once(linked):
    share(linked, "c2")
    linked.see("ann", "c2", "other")
    linked.see("bob", "c2", "other")
    assert linked.links["ann", "bob"]["score"] == 0.70
    assert [piece["counted"] for piece in linked.links["ann", "bob"]["evidence"]] == [True, False]


def test_the_threshold_is_inclusive():
    resolved = orjson.loads(orjson.dumps(POLICY.resolved["linkage"]))
    rules = LinkageRules.model_validate({**resolved, "propose_from": 0.91})
    assert rules.score({"keystroke", "c2"}) >= rules.propose_from


def test_a_policy_whose_weaker_kinds_reach_the_threshold_together_is_refused():
    resolved = orjson.loads(orjson.dumps(POLICY.resolved["linkage"]))
    with pytest.raises(ValueError, match=r"without a strong one reach a score of 0\.694"):
        LinkageRules.model_validate({**resolved, "propose_from": 0.69})


def test_a_link_is_observed_then_proposed_once_and_said_again_by_nothing(linked):
    assert kinds_of(share(linked, "keystroke")) == ["observed"]
    assert kinds_of(share(linked, "c2")) == ["proposed"]
    assert share(linked, "hassh") == [], "more of the same is no event"
    assert share(linked, "c2", ts=1_000.0 + DAY) == []


def test_a_keystroke_that_meets_under_36_tokens_is_one_piece_and_one_record(linked):
    share(linked, "keystroke")
    assert len(linked.made["link-evidence"]) == 72
    assert len(linked.made["link-hints"]) == 1
    assert len(linked.made["identity-links"]) == len(linked.made["link-events"]) == 1


def test_evidence_counts_for_90_days_after_it_was_last_seen(linked):
    share(linked, "keystroke", ts=0.0)
    share(linked, "c2", ts=90 * DAY)
    assert linked.links["ann", "bob"]["score"] == 0.91
    events = share(linked, "hassh", ts=90 * DAY + 1)
    assert kinds_of(events) == ["observed"]
    link = linked.links["ann", "bob"]
    assert (link["score"], link["status"]) == (0.82, "observed")
    assert {piece["kind"]: piece["counted"] for piece in link["evidence"]} == {
        "keystroke": False, "c2": True, "hassh": True,
    }  # fmt: skip
    assert kinds_of(share(linked, "keystroke", ts=91 * DAY)) == ["proposed"], "the evidence came back"


def test_age_is_judged_at_a_command_too(linked):
    share(linked, "keystroke", "c2", ts=0.0)
    late = linked.feed("commands", {"kind": "link_apply", "identity": "ann", "b": "bob", "by": "op", "ts": 91 * DAY})
    assert [(event["kind"], event["refusal"]) for event in late["link-events"]] == [
        ("refused", "below_threshold"), ("observed", None),
    ]  # fmt: skip
    assert linked.links["ann", "bob"]["score"] == 0.0


def test_apply_reverse_and_dismiss(linked):
    share(linked, "keystroke", "c2")
    event = linked.command("link_apply", "ann", "bob", reason="same desk")
    assert (event["kind"], event["old"], event["new"], event["reason"], event["by"]) == (
        "applied", "proposed", "applied", "same desk", "op",
    )  # fmt: skip
    assert linked.links["ann", "bob"]["by"] == "op"
    assert linked.command("link_apply", "ann", "bob")["kind"] == "unchanged"
    assert linked.command("link_dismiss", "ann", "bob")["refusal"] == "applied"
    evidence = linked.links["ann", "bob"]["evidence"]
    assert linked.command("link_reverse", "ann", "bob")["new"] == "observed"
    assert linked.links["ann", "bob"]["evidence"] == evidence, "evidence is kept"
    assert share(linked, "hassh") == [], "what was reversed is not proposed by more of the same score"
    assert linked.command("link_reverse", "ann", "bob")["refusal"] == "not_applied"
    assert linked.command("link_dismiss", "ann", "bob")["new"] == "dismissed"
    assert linked.command("link_dismiss", "ann", "bob")["kind"] == "unchanged"
    assert share(linked, "c2", ts=1_000.0 + 2 * DAY) == [], "the kinds that were dismissed do not propose it again"
    assert kinds_of(share(linked, "jarm")) == ["proposed"], "a new kind does"


@pytest.mark.parametrize("kind", ["link_apply", "link_reverse", "link_dismiss"])
def test_commands_about_no_link_are_refused_and_leave_nothing(linked, kind):
    assert linked.command(kind, "ann", "bob")["refusal"] == "unknown_link"
    share(linked, "keystroke", "c2")
    states = orjson.dumps(list(linked.states.values()))
    event = linked.command(kind, "bob", "ann")
    assert (event["refusal"], event["new"], event["evidence_digest"]) == ("not_sorted", None, None)
    assert linked.command(kind, "ann", "ann")["refusal"] == "not_sorted"
    assert [state for state in linked.states.values() if state is not None] == [
        state for state in orjson.loads(states) if state is not None
    ]


def test_a_link_below_the_threshold_cannot_be_applied(linked):
    share(linked, "keystroke", "hassh")
    assert linked.command("link_apply", "ann", "bob")["refusal"] == "below_threshold"
    assert linked.links["ann", "bob"]["status"] == "observed"


def test_an_applied_link_whose_score_falls_stays_applied_and_is_weakened(linked):
    share(linked, "keystroke", ts=0.0)
    share(linked, "c2", ts=50 * DAY)
    linked.command("link_apply", "ann", "bob", ts=50 * DAY)
    assert kinds_of(share(linked, "hassh", ts=95 * DAY)) == ["weakened"]
    link = linked.links["ann", "bob"]
    assert (link["status"], link["weakened"], link["score"]) == ("applied", True, 0.82)
    assert kinds_of(share(linked, "keystroke", ts=96 * DAY)) == ["restored"]
    assert linked.links["ann", "bob"]["weakened"] is False


def test_what_becomes_common_counts_no_longer(linked):
    share(linked, "keystroke", "c2")
    for number in range(RULES.common_above - 1):
        linked.see(f"p{number:02}", "c2", "c2-value")
    link = linked.links["ann", "bob"]
    assert (link["score"], link["status"]) == (0.7, "observed")
    assert {piece["kind"]: (piece["common"], piece["counted"]) for piece in link["evidence"]} == {
        "keystroke": (False, True), "c2": (True, False),
    }  # fmt: skip


def test_a_pair_of_which_all_is_common_from_the_start_is_no_link_whoever_comes_first(linked):
    hint = {"a": "ann", "b": "bob", "kind": "keystroke", "distance": 1, "value_digest": 32 * "a", "seen_a": 1.0,
            "seen_b": 1.0, "observations": ["x", "y"], "holders": 30, "ts": 1.0}  # fmt: skip
    other = Linked()
    assert linked.feed("link-hints", {**hint, "common": True}) == {}
    assert linked.command("link_apply", "ann", "bob")["refusal"] == "unknown_link"
    linked.feed("link-hints", hint)
    other.feed("link-hints", hint)
    other.feed("link-hints", {**hint, "common": True})
    assert linked.links == other.links
    assert linked.links["ann", "bob"]["score"] == 0.0


SHOWN = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cy"]),
        st.sampled_from(["keystroke", "keystroke", "c2", "hassh", "tcp"]),
        st.sampled_from(["0000000000000000", "0000000000000003", "00000000000000ff"]),
        st.floats(0, 20 * DAY),
    ),
    min_size=2,
    max_size=5,
)
TWO_ORDERS = SHOWN.flatmap(lambda shown: st.tuples(st.just(shown), st.permutations(shown)))
NEAR_LAST = [
    ("ann", "c2", "0000000000000000", 0.0),
    ("ann", "keystroke", "0000000000000000", 0.0),
    ("ann", "keystroke", "0000000000000003", 0.0),
    ("bob", "keystroke", "0000000000000000", 0.0),
]


def ends(linked, names=None):
    """Score, status and what counts of each pair, under other names where they are given."""
    named = names or {}
    return {
        tuple(sorted(named.get(name, name) for name in pair)): (
            link["score"], link["status"],
            sorted((one["kind"], one.get("distance"), one["common"]) for one in link["evidence"]),
        )
        for pair, link in linked.links.items()
    }  # fmt: skip


def seen(shown):
    linked = Linked()
    for one in shown:
        linked.see(*one)
    return linked


@settings(max_examples=examples(12), deadline=None)
@example((NEAR_LAST, [NEAR_LAST[0], NEAR_LAST[3], NEAR_LAST[1], NEAR_LAST[2]]))
@given(TWO_ORDERS)
def test_links_do_not_depend_on_the_order_of_arrival_nor_on_which_side_is_which(orders):
    shown, reordered = orders
    swap = {"ann": "cy", "cy": "ann", "bob": "bob"}
    expected = ends(seen(shown))
    assert expected == ends(seen(reordered))
    assert expected == ends(seen([(swap[one[0]], *one[1:]) for one in shown]), swap)


@pytest.mark.parametrize("days", [(0, 0, 0, 0), (0, 5, 0, 0), (3, 0, 5, 0), (0, 9, 0, 9)])
def test_two_keystrokes_of_one_link_by_the_nearest_in_every_order(days):
    values = [("ann", "0" * 16), ("ann", "0" * 15 + "3"), ("bob", "0" * 15 + "1"), ("bob", "0" * 16)]
    shown = [(who, "keystroke", value, day * DAY) for (who, value), day in zip(values, days, strict=True)]
    for order in permutations(shown):
        assert ends(seen(order)) == {("ann", "bob"): (0.7, "observed", [("keystroke", 0, False)])}


def keystroke_hint(distance, ts, digest, **more):
    return {"a": "ann", "b": "bob", "kind": "keystroke", "distance": distance, "value_digest": 32 * digest,
            "seen_a": ts, "seen_b": ts, "observations": ["x", "y"], "holders": 2, "ts": ts, **more}  # fmt: skip


def test_the_nearest_keystroke_is_shown_and_a_later_one_counts_once_it_is_too_old(linked):
    for one in (keystroke_hint(0, 0.0, "a"), keystroke_hint(2, 50 * DAY, "b"), keystroke_hint(3, 20 * DAY, "c")):
        linked.feed("link-hints", one)
    assert [piece["distance"] for piece in linked.links["ann", "bob"]["evidence"]] == [0]
    share(linked, "tcp", ts=95 * DAY)
    assert [piece.get("distance") for piece in linked.links["ann", "bob"]["evidence"]] == [2, None]
    (state,) = (state for (agent, _), state in linked.states.items() if agent == "linkage")
    assert len(state["evidence"]["keystroke"]) == 2, "what is farther and earlier than another never counts"


def test_keystrokes_of_which_one_was_common_stay_common_when_it_is_forgotten():
    hints = [keystroke_hint(3, 0.0, "a", common=True), keystroke_hint(1, 5.0, "b"), keystroke_hint(2, 3.0, "c")]
    for order in permutations(hints):
        linked = Linked()
        for one in order:
            linked.feed("link-hints", one)
        assert ends(linked) == {("ann", "bob"): (0.0, "observed", [("keystroke", 1, True)])}


def test_the_state_of_a_pair_is_bounded(linked):
    for number in range(40):
        for who in ("ann", "bob"):
            linked.see(who, "c2", f"{number}", float(number))
    (state,) = (state for (agent, _), state in linked.states.items() if agent == "linkage")
    assert len(state["evidence"]["c2"]) == RULES.evidence_of_kind
    assert linked.links["ann", "bob"]["capped"] is True
    assert linked.largest("linkage") < 1_500


def test_names_with_any_character_are_pairs_of_their_own(linked):
    share(linked, "c2", a="x/y", b="z")
    linked.see("x", "hassh", "h")
    linked.see("y/z", "hassh", "h")
    assert set(linked.links) == {("x/y", "z"), ("x", "y/z")}
    assert len([at for at in linked.states if at[0] == "linkage"]) == 2
