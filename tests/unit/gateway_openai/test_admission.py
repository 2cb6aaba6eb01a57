"""When a turn goes on: the model is asked. A modulation alone is no proof that the prompt was judged."""

import asyncio

import pytest

from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai_port.admission import admitted
from endocrine.pipeline.gateway.openai_port.rounds import Rounds
from endocrine.pipeline.gateway.watch import Refused as DeadLetter
from endocrine.pipeline.gateway.watch import Watch
from endocrine.pipeline.process.policy_files import shipped_policy

MODULATION = {"revision": 0, "refusal": None, "mode": "balanced"}
REQUEST = {"request_id": "oa-1/1", "audit_id": "oa-1", "parameters": {}, "messages": ["not kept"]}


def closed(finish):
    return {"kind": "closed", "finish": finish, "response": "A sentence.", "usage": None}


async def outcome(*records, observed=False, dead=None):
    """`goes on`, or the code of the refusal."""
    watch = Watch("ann", "oa-1")
    for topic, value in records:
        watch.apply(topic, value, 1.0, 1.0)
    if dead is not None:
        watch.refuse(DeadLetter("r", dead, "why"))
    try:
        await admitted(None, Rounds(watch, shipped_policy(), observed), 0.01, None)
    except Refused as refused:
        return refused.code
    assert all("messages" not in seen.value for seen in watch.requests.values())
    return "goes on"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], "decision_timeout"),
        ([("modulations", MODULATION)], "decision_timeout"),
        ([("model-requests", REQUEST)], "decision_timeout"),
        ([("modulations", MODULATION), ("model-requests", REQUEST)], "goes on"),
        (
            [("modulations", MODULATION), ("model-requests", {**REQUEST, "request_id": "oa-1/1/moderation"})],
            "decision_timeout",
        ),
        ([("modulations", {**MODULATION, "refusal": "held"})], "decision_timeout"),
        ([("modulations", MODULATION), ("interactions", closed("input_blocked"))], "content_policy_violation"),
        ([("interactions", closed("budget_exceeded"))], "insufficient_quota"),
        ([("interactions", closed("denied"))], "turn_denied"),
        ([("interactions", closed("answered"))], "goes on"),
    ],
)
def test_a_turn_goes_on_when_the_model_is_asked_and_ends_as_it_was_closed(records, expected):
    assert asyncio.run(outcome(*records)) == expected


def test_an_observed_turn_is_not_held():
    held = ("modulations", {**MODULATION, "refusal": "held"})
    assert asyncio.run(outcome(held, ("model-requests", REQUEST), observed=True)) == "goes on"


CODES = {"unknown_tool_call": "unknown_tool_call", "too_large": "request_too_large", "bad": "invalid_value"}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_a_dead_letter_of_ours_is_an_answer(kind, code):
    assert asyncio.run(outcome(dead=kind)) == code
