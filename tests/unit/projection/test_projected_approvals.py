"""Calls and turns that wait for a person in the read models: listed by deadline, gone once they are decided."""

import orjson

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.views.redis.keys import ViewKeys
from endocrine.pipeline.views.redis.writes import PROVED, Listing, writes_of

DECISION = {
    "call_id": "c1", "audit_id": "a1", "identity": "ann", "function": "send_mail", "tool": "mail",
    "decision": "pending",
    "reason": "awaiting_approval", "incident_id": None, "policy": "a" * 64, "ts": 1.0, "rule": "tools.mail.approval",
    "expires": 901.5, "arguments_digest": "d" * 64, "revision": 0, "message": "It waits for a person.",
}  # fmt: skip
VIEWS = ViewKeys("endocrine.")


def written(topic, value, headers=()):
    skipped = []
    record = Fetched(3, 5, 0, value["identity"].encode(), orjson.dumps(value), headers)
    [write] = writes_of(topic, f"endocrine.{topic}/3", [record], 1 << 20, lambda _, why: skipped.append(str(why)))
    assert skipped == []
    return write


def test_a_pending_call_is_listed_by_its_deadline_with_the_place_of_its_arguments():
    write = written("tool-decisions", DECISION, [("endocrine-origin", b"gating/tool-calls/2/17/0")])
    assert (write.verb, write.key, write.field) == ("view", VIEWS.turn("a1"), "call/c1")
    assert write.listing == Listing(VIEWS.approvals(), '["call","ann","a1","c1"]', 901_500)
    part = orjson.loads(write.value)
    assert part["call_at"] == [2, 17]
    assert (part["arguments_digest"], part["rule"]) == ("d" * 64, "tools.mail.approval")


def test_a_call_that_was_decided_on_something_else_than_the_call_has_no_place():
    write = written("tool-decisions", DECISION, [("endocrine-origin", b"gating/modulations/2/17/0")])
    assert orjson.loads(write.value)["call_at"] is None


def test_a_final_decision_takes_the_call_off_the_list():
    for decision, reason in (("allowed", None), ("denied", "approval_denied")):
        write = written("tool-decisions", DECISION | {"decision": decision, "reason": reason, "expires": None})
        assert write.field == "call/c1"
        assert orjson.loads(write.value)["decision"] == decision
        assert write.listing == Listing(VIEWS.approvals(), '["call","ann","a1","c1"]', None)


def test_a_final_decision_in_the_same_run_of_records_leaves_nothing_to_list():
    values = [DECISION, DECISION | {"decision": "allowed", "reason": None, "expires": None}]
    records = [Fetched(3, place, 0, b"ann", orjson.dumps(one), ()) for place, one in enumerate(values)]
    [write] = writes_of("tool-decisions", "endocrine.tool-decisions/3", records, 1 << 20, lambda *_: None)
    assert write.listing is not None
    assert write.listing.score is None


def test_only_what_we_wrote_is_shown():
    assert "tool-decisions" in PROVED
