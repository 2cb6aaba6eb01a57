"""Linkage exactly at its bounds, one below and one above: thresholds, ages, counts, and what time alone changes."""

from types import SimpleNamespace

import orjson
import pytest

from endocrine.agents.linkage.rules import LinkageRules
from linked import POLICY, RULES, Linked

DAY = 86_400.0
KS = "00ff00ff00ff00ff"
RESOLVED = orjson.dumps(POLICY.resolved["linkage"])


@pytest.fixture
def linked():
    return Linked()


@pytest.fixture
def under(monkeypatch):
    """Has everything decided under the shipped rules with some of them changed."""

    def change(**rules):
        changed = LinkageRules.model_validate({**orjson.loads(RESOLVED), **rules})
        monkeypatch.setattr("linked.POLICY", SimpleNamespace(document=SimpleNamespace(linkage=changed)))

    return change


def share(linked, *kinds, ts=1_000.0):
    made = []
    for kind in kinds:
        for who in ("ann", "bob"):
            made += linked.see(who, kind, KS if kind == "keystroke" else f"{kind}-value", ts).get("link-events", [])
    return [event["kind"] for event in made]


def hint(kind="c2", ts=1.0, digest="a", **more):
    return {"a": "ann", "b": "bob", "kind": kind, "value_digest": 32 * digest, "seen_a": ts, "seen_b": ts,
            "observations": ["x", "y"], "holders": 2, "ts": ts, **more}  # fmt: skip


def state_of(linked, agent="linkage"):
    (state,) = (state for (name, _), state in linked.states.items() if name == agent and state is not None)
    return state


def test_a_hint_of_a_kind_that_the_policy_lists_no_more_changes_nothing(linked, under):
    kinds = orjson.loads(RESOLVED)["kinds"]
    under(kinds={name: rule for name, rule in kinds.items() if name != "tcp"})
    assert linked.feed("link-hints", hint("tcp")) == {}
    assert set(linked.states.values()) == {None}


def test_a_score_of_exactly_the_threshold_is_proposed_and_may_be_applied(linked, under):
    under(propose_from=0.91)
    assert share(linked, "keystroke", "c2") == ["observed", "proposed"]
    assert linked.command("link_apply", "ann", "bob")["kind"] == "applied"


def test_a_command_from_before_the_latest_hint_does_not_make_evidence_young_again(linked):
    share(linked, "keystroke", ts=0.0)
    share(linked, "c2", ts=91 * DAY)
    assert linked.command("link_apply", "ann", "bob", ts=1.0)["refusal"] == "below_threshold"


def test_a_weakened_link_that_is_reversed_is_not_weakened_any_more(linked):
    share(linked, "keystroke", ts=0.0)
    share(linked, "c2", ts=50 * DAY)
    linked.command("link_apply", "ann", "bob", ts=50 * DAY)
    assert share(linked, "hassh", ts=95 * DAY) == ["weakened"]
    linked.command("link_reverse", "ann", "bob", ts=95 * DAY)
    assert (linked.links["ann", "bob"]["status"], linked.links["ann", "bob"]["weakened"]) == ("observed", False)


def test_a_dismissed_link_that_is_applied_keeps_no_kinds_of_its_dismissal(linked):
    share(linked, "keystroke", "c2")
    linked.command("link_dismiss", "ann", "bob")
    assert state_of(linked)["dismissed"] == ["c2", "keystroke"]
    linked.command("link_apply", "ann", "bob")
    assert state_of(linked)["dismissed"] is None


def test_a_link_that_becomes_capped_is_recorded_again_without_an_event(linked):
    linked.feed("link-hints", hint())
    assert "capped" not in linked.links["ann", "bob"]
    assert set(linked.feed("link-hints", hint(capped=True))) == {"identity-links"}
    assert linked.links["ann", "bob"]["capped"] is True


def test_a_command_that_changes_nothing_records_the_link_where_its_evidence_has_aged(linked):
    share(linked, "keystroke", "c2", ts=0.0)
    linked.command("link_dismiss", "ann", "bob", ts=1.0)
    command = {"kind": "link_dismiss", "identity": "ann", "b": "bob", "by": "op"}
    assert set(linked.feed("commands", {**command, "ts": 2.0})) == {"link-events"}
    made = linked.feed("commands", {**command, "ts": 90 * DAY + 1})
    assert [event["kind"] for event in made["link-events"]] == ["unchanged"]
    assert [link["score"] for link in made["identity-links"]] == [0.0]


def test_a_pair_keeps_exactly_as_many_pieces_of_a_kind_as_it_may_before_it_is_capped(linked):
    for number in range(RULES.evidence_of_kind):
        linked.feed("link-hints", hint(digest=f"{number}", ts=float(number)))
    assert state_of(linked)["capped"] is False
    linked.feed("link-hints", hint(digest="9", ts=9.0))
    assert state_of(linked)["capped"] is True
    assert len(state_of(linked)["evidence"]["c2"]) == RULES.evidence_of_kind


def test_of_two_keystroke_pieces_seen_at_one_time_the_farther_is_forgotten(linked):
    linked.feed("link-hints", hint("keystroke", digest="a", distance=0))
    linked.feed("link-hints", hint("keystroke", digest="b", distance=2))
    assert [piece[1] for piece in state_of(linked)["evidence"]["keystroke"]] == [0]


def test_a_piece_spans_all_times_at_which_it_was_seen_and_has_its_least_distance(linked):
    linked.feed("link-hints", hint("keystroke", ts=10.0, distance=3, seen_a=7.0))
    linked.feed("link-hints", hint("keystroke", ts=20.0, distance=5, seen_b=12.0))
    linked.feed("link-hints", hint("keystroke", ts=5.0, distance=4))
    (piece,) = linked.links["ann", "bob"]["evidence"]
    assert (piece["first_ts"], piece["last_ts"], piece["distance"]) == (5.0, 20.0, 3)


def test_a_value_counts_as_common_for_exactly_so_many_days_after_it_was_last_so(linked):
    linked.feed("link-hints", hint(ts=0.0))
    for ts in (10.0, 5.0):
        linked.feed("link-hints", hint(ts=ts, common=True))

    def score(ts):
        linked.feed("link-hints", hint(ts=ts))
        return linked.links["ann", "bob"]["score"]

    assert score(10.0 + 90 * DAY) == 0.0
    assert score(10.5 + 90 * DAY) == 0.7


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"propose_from": 0.694}, r"without a strong one reach a score of 0\.694"),
        ({"propose_from": 0.6941}, None),
        ({"pairs": 189}, "pairs 189: expected room for all pairs of 20 holders, 190"),
        ({"pairs": 190}, None),
        ({"holders": 20}, "common_above 20: expected below holders, 20"),
        ({"holders": 21}, None),
        ({"kinds": {name: {"primitive": "p", "match": "equal", "strength": "weak"} for name in ("c2", "tcp")}},
         "the primitive 'p' is of two kinds"),
    ],
)  # fmt: skip
def test_rules_that_do_not_agree_are_refused_at_the_very_bound(changed, found):
    def load():
        LinkageRules.model_validate({**orjson.loads(RESOLVED), **changed})

    if found is None:
        load()
    else:
        with pytest.raises(ValueError, match=found):
            load()
