"""What the terminal shows of a turn, and what its commands say."""

import asyncio
import os
from typing import Any

import pytest

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.local.chat.commands import Wrong, approval, rating, signal
from endocrine.pipeline.local.chat.lines import Lines
from endocrine.pipeline.local.chat.show import explained, turn_lines, why
from endocrine.pipeline.local.chat.turn import Turn


def modulation(revision: int = 0, mode: str = "balanced", **more: Any) -> dict[str, Any]:
    parameters = {
        "temperature": 0.6,
        "top_p": 0.9,
        "max_output_tokens": 900,
        "reasoning_effort": 0.5,
        "retrieval_k": 6,
        "planner_beam": 2,
        "memory_write": 0.4,
        "safety_mode": mode,
        "tool_allowlist": ["retrieval"],
    }
    lineage = {
        "temperature": [
            {"step": "default", "by": "default", "from": None, "to": 0.6},
            {"step": "guard", "by": "alignment_risk", "from": 0.6, "to": 0.405},
        ]
    }
    value = {
        "audit_id": "t",
        "identity": "ann",
        "revision": revision,
        "admitted": True,
        "refusal": None,
        "review": "none",
        "mode": mode,
        "parameters": parameters,
        "prompt_style": mode,
        "signals": [{"name": "alignment_risk", "level": 0.7, "source": "chat", "ts": 1.0, "fate": "used"}],
        "lineage": lineage,
        "policy": "0" * 64,
        "ts": 1.0,
    } | more
    CATALOGUE["modulations"].validate(value)
    return value


def a_turn() -> Turn:
    turn = Turn("t")
    call = {
        "call_id": "c",
        "audit_id": "t",
        "identity": "ann",
        "tool": "open_url",
        "arguments": {},
        "step": 1,
        "ts": 1.0,
    }
    decision = {
        "call_id": "c",
        "audit_id": "t",
        "identity": "ann",
        "function": "open_url",
        "tool": "browser",
        "decision": "denied",
        "reason": "not_in_allowlist",
        "incident_id": "i",
        "policy": "0" * 64,
        "ts": 1.0,
    }
    closed = {"kind": "closed", "audit_id": "t", "identity": "ann", "response": "[not markup]", "ts": 1.0}
    turn.take("modulations", modulation(1, "strict"))
    turn.take("modulations", modulation())
    turn.take("tool-decisions", decision)
    turn.take("tool-calls", call)
    turn.take("interactions", closed)
    return turn


def test_a_turn_shows_its_modes_tools_reasons_and_answer() -> None:
    lines = [line.text for line in turn_lines(a_turn())]
    assert lines[0] == "[balanced -> strict], revision 1"
    assert "temperature 0.6, top_p 0.9, max_output_tokens 900" in lines[1]
    assert "  tool open_url: denied, not_in_allowlist" in lines
    assert "  why: alignment_risk 0.7 from chat: used" in lines
    assert lines[-1] == "[not markup]"


def test_why_names_each_step_that_changed_something() -> None:
    assert list(why(a_turn())) == [
        "alignment_risk 0.7 from chat: used",
        "temperature 0.6 -> 0.405 (guard by alignment_risk)",
    ]


def test_why_says_so_where_there_is_nothing_to_say() -> None:
    unmoved = {"temperature": [{"step": "default", "by": "default", "from": None, "to": 0.6}]}
    calm = Turn("t")
    assert [line.text for line in explained(None)] == ["  nothing was asked yet"]
    assert [line.text for line in explained(calm)] == ["  the parameters of this turn have not come"]
    calm.take("modulations", modulation(signals=[], lineage=unmoved))
    assert [line.text for line in explained(calm)] == ["  no signal was looked at, and no step changed a parameter"]
    assert [line.text for line in explained(a_turn())] == [f"  {reason}" for reason in why(a_turn())]


def test_records_of_other_turns_are_not_this_ones() -> None:
    turn = Turn("t")
    assert not turn.take("modulations", modulation(audit_id="other"))
    assert not turn.modulations


def test_a_call_that_waits_for_a_person_is_known_until_it_is_decided() -> None:
    turn = Turn("t")
    pending = {"call_id": "c", "audit_id": "t", "decision": "pending", "reason": "awaiting_approval"}
    turn.take("tool-decisions", pending)
    assert turn.waiting == ["c"]
    turn.take("tool-decisions", pending | {"decision": "allowed", "reason": None})
    assert turn.waiting == []


def test_commands_become_records_of_their_topics() -> None:
    assert signal(["alignment_risk", "0.7"]) == {"name": "alignment_risk", "level": 0.7, "source": "chat"}
    common = {"identity": "ann", "ts": 1.0}
    card = rating(["5"], "t")
    CATALOGUE[card.topic].validate(dict(card.value) | common)
    for word in ("approve", "deny"):
        command = approval(word, ["c"])
        CATALOGUE[command.topic].validate(dict(command.value) | common)


@pytest.mark.parametrize(
    "arguments", [[], ["hunger", "0.5"], ["stress"], ["stress", "2"], ["stress", "nan"], ["stress", "x"]]
)
def test_a_signal_that_is_none_is_refused(arguments: list[str]) -> None:
    with pytest.raises(Wrong):
        signal(arguments)


@pytest.mark.parametrize(("arguments", "audit_id"), [(["6"], "t"), ([], "t"), (["5"], None)])
def test_a_rating_that_is_none_is_refused(arguments: list[str], audit_id: str | None) -> None:
    with pytest.raises(Wrong):
        rating(arguments, audit_id)


async def test_piped_lines_come_one_by_one_the_last_without_its_end_too() -> None:
    reading, writing = os.pipe()
    os.write(writing, "one\r\ntwo\nthré".encode())
    os.close(writing)
    lines = Lines(reading)
    async with asyncio.timeout(5):
        assert [await lines.next() for _ in range(4)] == ["one", "two", "thré", None]
    os.close(reading)
