"""Expressions in CEL over records, run in a child process with bounds on time and memory."""

import asyncio
import re
import sys
from contextlib import suppress
from typing import Any

import orjson

from endocrine.pipeline.console.browsing.cel_names import NAMES
from endocrine.pipeline.gateway.problems import Problem

LONGEST_S = 20.0
"""Seconds that an answer may take; of the processor's time it may use less (cel_child.CPU_S)."""
MOST_AT_ONCE = 24
_PLACE = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*?)(?: expecting \{.*)?$", re.MULTILINE)
_UNDEFINED = re.compile(r"Undefined variable or function: '([^']*)'")
_CHILD = ("-m", "endocrine.pipeline.console.browsing.cel_child")
_running = 0


class Expression:
    """One expression, compiled in a process of its own; `async with`.

    Raises Problem, 422, that names the place of a mistake, and 503 while too many run.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.failed = 0
        """Records that it had no answer for: they are left out."""
        self.reason = ""
        """Why, of the first."""

    async def __aenter__(self) -> "Expression":
        global _running
        if _running >= MOST_AT_ONCE:
            raise Problem("overloaded", f"{MOST_AT_ONCE} expressions run already", headers={"retry-after": "10"})
        _running += 1
        try:
            pipe = asyncio.subprocess.PIPE
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, *_CHILD, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
            )
            try:
                self._raise_for(await self._ask(self.text))
            except BaseException:
                await self._end()
                raise
        except BaseException:
            _running -= 1
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        global _running
        _running -= 1
        await self._end()

    async def true_of(self, records: list[dict[str, Any]]) -> list[bool]:
        """Return of which of these it is true; each holds what an expression may name. Raises Problem, 422."""
        if not records:
            return []
        answer = await self._ask(records)
        self._raise_for(answer)
        self.failed += answer["failed"]
        self.reason = self.reason or answer["reason"]
        taken: list[bool] = answer["taken"]
        return taken

    async def _ask(self, message: Any) -> dict[str, Any]:
        content = orjson.dumps(message)
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            async with asyncio.timeout(LONGEST_S):
                child.stdin.write(len(content).to_bytes(4, "big") + content)
                await child.stdin.drain()
                size = int.from_bytes(await child.stdout.readexactly(4), "big")
                answer: dict[str, Any] = orjson.loads(await child.stdout.readexactly(size))
                return answer
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            raise Problem(
                "invalid", "where: the expression needs more time or memory than it may have", field="where"
            ) from None

    def _raise_for(self, answer: dict[str, Any]) -> None:
        if error := answer.get("error"):
            raise Problem("invalid", f"where: {described(self.text, str(error))}", field="where")

    async def _end(self) -> None:
        with suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()
        self._child._transport.close()  # type: ignore[attr-defined]


def described(expression: str, error: str) -> str:
    """Return what is wrong with an expression, with its place.

    >>> described("1 +", "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'['}")
    "column 4: mismatched input '<EOF>'"
    >>> described("key == a", "Undefined variable or function: 'a'. Check ...").partition(";")[0]
    "column 8: nothing is named 'a'"
    """
    if found := _PLACE.search(error):
        line, column, what = found.groups()
        return f"{f'line {line}, ' if line != '1' else ''}column {column}: {what[:200]}"
    if found := _UNDEFINED.search(error):
        name = found.group(1)
        place = re.search(rf"(?<![\w.\"']){re.escape(name)}(?!\w)", expression)
        at = f"column {place.start() + 1}: " if place else ""
        return f"{at}nothing is named '{name[:80]}'; there are {', '.join(NAMES)}"
    return error.partition("\n")[0][:300]
