"""The linkage agent: scores, what is proposed and when, what operators can do, and how long evidence counts."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.linkage.rules import LinkageRules
from linked import POLICY, RULES, Linked

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


shows = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cy"]),
        st.sampled_from(sorted(RULES.kinds)),
        st.sampled_from(["0000000000000000", "0000000000000003", "00000000000000ff"]),
        st.floats(0, 20 * DAY),
    ),
    max_size=8,
)


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


@settings(max_examples=12, deadline=None)
@given(shown=shows, data=st.data())
def test_links_do_not_depend_on_the_order_of_arrival_nor_on_which_side_is_which(shown, data):
    first, second, mirrored = Linked(), Linked(), Linked()
    swap = {"ann": "cy", "cy": "ann", "bob": "bob"}
    for one in shown:
        first.see(*one)
        mirrored.see(swap[one[0]], *one[1:])
    for one in data.draw(st.permutations(shown)):
        second.see(*one)
    assert ends(first) == ends(second)
    assert ends(first) == ends(mirrored, swap)


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
