"""The loop: a line in, a turn through the whole path, its story out."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from endocrine.pipeline.local.chat.commands import COMMANDS, HELP, Wrong, approval, rating, signal
from endocrine.pipeline.local.chat.lines import Lines
from endocrine.pipeline.local.chat.show import Line, explained, turn_lines
from endocrine.pipeline.local.chat.talk import Talk
from endocrine.pipeline.local.chat.turn import Turn

MISSING = (
    "Is a worker running (`endocrine worker`), and are the connectors (`endocrine connect model`, `endocrine connect"
    " tools`, `endocrine connect timekeeper`)?"
)

_REST = 20
"""Looks at the broker after the end of a turn, at most."""


class NoAnswer(RuntimeError):
    """A turn was not closed in time. The message says what may be missing."""


class Conversation:
    """Runs until the input ends or `/quit`."""

    def __init__(
        self, talk: Talk, lines: Lines, console: Console, *, answer_s: float, opening: Sequence[str] = ()
    ) -> None:
        """opening: lines that are taken before the first of `lines`, and shown as if they were typed."""
        self._talk = talk
        self._lines = lines
        self._console = console
        self._answer_s = answer_s
        self._opening = deque(opening)
        self._signals: list[dict[str, Any]] = []
        self._last: Turn | None = None

    async def run(self) -> int:
        """Run to the end; return the number of turns answered. Raises NoAnswer where nobody is there to read on."""
        answered = 0
        while (line := await self._read()) is not None:
            command, *arguments = line.split() or [""]
            if not command:
                continue
            if command == "/quit":
                break
            if command.startswith("/"):
                await self._command(command[1:], arguments)
                continue
            answered += await self._turn(line)
        return answered

    async def _read(self) -> str | None:
        if self._console.is_terminal:
            self._console.print(f"{self._talk.identity}> ", end="", style="bold blue")
        if self._opening:
            line: str | None = self._opening.popleft()
            if self._console.is_terminal:
                self._print(Line(line or ""))
        else:
            line = await self._lines.next()
        if line is not None and not self._console.is_terminal:
            self._print(Line(f"{self._talk.identity}> {line}"))
        return line

    async def _command(self, command: str, arguments: list[str]) -> None:
        try:
            if command == "signal":
                self._signals.append(signal(arguments))
                self._print(Line("  the next turn carries it", "dim"))
            elif command == "why":
                for reason in explained(self._last):
                    self._print(reason)
            elif command in ("rate", "approve", "deny"):
                audit_id = self._last.audit_id if self._last else None
                record = rating(arguments, audit_id) if command == "rate" else approval(command, arguments)
                await self._talk.send(record.topic, record.value)
                self._print(Line(f"  {record.notice}", "dim"))
            else:
                if command not in COMMANDS:
                    self._print(Line(f"  unknown command /{command}", "yellow"))
                self._print(Line(HELP, "dim"))
        except Wrong as error:
            self._print(Line(f"  {error}", "yellow"))

    async def _turn(self, prompt: str) -> bool:
        signals, self._signals = self._signals, []
        turn = self._last = await self._talk.open(prompt, signals)
        deadline = time.monotonic() + self._answer_s
        shown: set[str] = set()
        while turn.closed is None:
            await self._talk.follow(turn)
            for call_id in turn.waiting:
                deadline = time.monotonic() + self._answer_s
                if call_id not in shown:
                    shown.add(call_id)
                    tool = turn.calls[call_id]["tool"] if call_id in turn.calls else "a tool"
                    self._print(Line(f"  {tool} waits for a person: /approve {call_id} or /deny {call_id}", "yellow"))
            await self._approve(turn)
            if time.monotonic() > deadline:
                missing = f"no answer within {self._answer_s:.0f} s. {MISSING}"
                if not self._console.is_terminal:
                    raise NoAnswer(missing)
                self._print(Line(f"  {missing}", "yellow"))
                return False
        await self._rest(turn)
        for line in turn_lines(turn):
            self._print(line)
        return True

    async def _approve(self, turn: Turn) -> None:
        """Take a waiting `/approve` or `/deny` from the input while the turn waits for it."""
        peeked = (self._lines.peek() or "").split()
        if turn.waiting and peeked and peeked[0] in ("/approve", "/deny"):
            await self._lines.next()
            await self._command(peeked[0][1:], peeked[1:])

    async def _rest(self, turn: Turn) -> None:
        """What was decided just before the end may arrive just after it, from another topic."""
        for _ in range(_REST):
            if not await self._talk.follow(turn):
                return

    def _print(self, line: Line) -> None:
        # On a terminal lines break between words; a file or a pipe gets each as one line.
        self._console.print(Text(line.text, style=line.style), soft_wrap=not self._console.is_terminal)
