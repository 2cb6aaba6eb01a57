"""The part of a broker's port that a benchmark needs where nothing runs beside anything: one thing after the other."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from endocrine.pipeline.runtime.broker_port import Background

T = TypeVar("T")


class Waiting:
    """Producing that runs once, when somebody waits for it."""

    def __init__(self, producing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._producing = producing
        self._ended = False

    def done(self) -> bool:
        """Return whether it has run."""
        return self._ended

    async def run(self) -> None:
        """Run it, unless it has run."""
        if not self._ended:
            await self._producing()
            self._ended = True


class InOrder:
    """Processing after writing, producing when the processor waits for it: the bytes are the same in every run."""

    async def run_concurrently(self, writing: Coroutine[Any, Any, None], processing: Coroutine[Any, Any, T]) -> T:
        """Run one after the other."""
        await writing
        return await processing

    def start(self, producing: Callable[[], Coroutine[Any, Any, None]]) -> Background:
        """Keep it until somebody waits for it."""
        return Waiting(producing)

    async def finish(self, background: Background, enough: Callable[[], bool]) -> None:
        """Run it to its end."""
        assert isinstance(background, Waiting)
        await background.run()

    async def give_way(self) -> None:
        """Go on: nobody else is here."""
