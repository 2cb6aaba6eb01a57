"""What a chat says first: who is missing, and the demo's own turns."""

import io
from typing import Any

import pytest
from rich.console import Console

from endocrine.pipeline.local.chat.conversation import Conversation
from endocrine.pipeline.local.chat.turn import Turn
from endocrine.pipeline.local.fake_llm.script import load_script
from endocrine.pipeline.views.status.presence import missing_parts


def test_every_part_that_is_not_there_is_named_with_what_it_means_and_what_starts_it():
    lines = missing_parts("endocrine", {"endocrine": 0})
    assert [line.partition(" is running")[0] for line in lines] == [
        "no worker", "no model connector", "no tool connector", "no timekeeper",
    ]  # fmt: skip
    assert "no turn is answered before its deadline; start it: endocrine connect model" in lines[1]


def test_what_is_there_is_not_named_and_a_worker_of_a_role_is_a_worker():
    there = {"e.decide": 1, "e.model": 1, "e.tools": 2, "e.timekeeper": 1}
    assert missing_parts("e", there) == []
    assert len(missing_parts("e", {**there, "e.tools": 0})) == 1


class Talk:
    """A conversation in which every turn is closed at once."""

    identity = "you"

    def __init__(self) -> None:
        self.opened: list[tuple[str, list[Any]]] = []

    async def open(self, prompt: str, signals: list[Any]) -> Turn:
        self.opened.append((prompt, signals))
        turn = Turn(f"t{len(self.opened)}")
        turn.take("interactions", {"audit_id": turn.audit_id, "kind": "closed", "response": "yes"})
        return turn

    async def follow(self, turn: Turn) -> bool:
        return False


class Lines:
    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    async def next(self) -> str | None:
        return self.lines.pop(0) if self.lines else None

    def peek(self) -> str | None:
        return self.lines[0] if self.lines else None


@pytest.mark.parametrize("terminal", [True, False])
async def test_the_demo_asks_the_same_twice_the_second_time_with_a_signal_and_then_the_person_goes_on(terminal):
    talk: Any = Talk()
    lines: Any = Lines("mine")
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, color_system=None, width=80)
    opening = load_script(None).opening
    answered = await Conversation(talk, lines, console, answer_s=5, opening=opening).run()
    first, second, third = talk.opened
    assert (answered, first, third) == (3, ("what is endocrine?", []), ("mine", []))
    assert second == ("what is endocrine?", [{"name": "alignment_risk", "level": 0.7, "source": "chat"}])
    assert out.getvalue().count("you> what is endocrine?") == 2
