"""Which decisions the conversation takes for its own, and which revision it waits for."""

import pytest

from endocrine.agents._shared.arguments import digest_of

CALL = ("open_url", {"url": "https://example.org"})
OURS, OTHER = digest_of(CALL[1]), digest_of({"url": "https://elsewhere.example"})
CONFLICT = {"decision": "denied", "reason": "conflicting_call"}


@pytest.fixture
def asked(talk):
    """A turn whose model has asked for one page."""
    talk.open()
    talk.modulate()
    talk.reply(calls=[CALL])
    return talk


def call_of(talk):
    return talk.state["turns"]["t1"]["calls"][0]


@pytest.mark.parametrize("before", [None, "pending"])
@pytest.mark.parametrize(
    "other",
    [
        {"arguments_digest": OTHER, "decision": "allowed"},
        {"arguments_digest": OTHER, **CONFLICT},
        {"arguments_digest": None, **CONFLICT},
        {"arguments_digest": OURS, "function": "web_search", "tool": "search", "decision": "allowed"},
    ],
)
def test_a_decision_about_another_record_under_the_id_is_not_taken_for_ours(asked, before, other):
    if before is not None:
        asked.decide("t1/1/call-1", "pending", "awaiting_approval", arguments_digest=OURS)
    assert asked.decide("t1/1/call-1", incident_id="i", **other) == []
    assert (call_of(asked)["decision"], asked.state["turns"]["t1"]["tighten"]) == (before, False)
    asked.decide("t1/1/call-1", arguments_digest=OURS)
    assert call_of(asked)["decision"] == "allowed"


def test_where_somebody_else_was_first_under_our_id_our_call_is_denied(asked):
    asked.decide("t1/1/call-1", arguments_digest=OTHER)
    asked.decide("t1/1/call-1", arguments_digest=OURS, **CONFLICT)
    assert "conflicting_call" in asked.requests[-1]["messages"][-1]["content"]


def test_a_conflict_does_not_end_the_waiting_for_a_person(asked):
    asked.decide("t1/1/call-1", "pending", "awaiting_approval", arguments_digest=OURS)
    asked.decide("t1/1/call-1", arguments_digest=OURS, **CONFLICT)
    assert call_of(asked)["decision"] == "pending"


def test_arguments_that_cannot_be_read_are_known_by_having_no_digest(talk):
    talk.open()
    talk.modulate()
    talk.reply(calls=[("open_url", "{broken")])
    talk.decide("t1/1/call-1", "denied", "invalid_arguments", arguments_digest=None)
    assert "invalid_arguments" in talk.requests[-1]["messages"][-1]["content"]


def test_the_revision_that_the_gate_named_is_waited_for(asked):
    asked.decide("t1/1/call-1", "denied", "not_in_allowlist", "i", arguments_digest=OURS, revision=3)
    assert asked.modulate(revision=2, mode="strict", tools=["retrieval"]) == [], (
        "strict, and not the one that was named"
    )
    (said,) = asked.modulate(revision=3, mode="strict", tools=["retrieval"])
    assert said[0] == "model-requests"
