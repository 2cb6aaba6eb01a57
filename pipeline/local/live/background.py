"""What runs beside the others until the run ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks:
    """Tasks of one run. The first failure of one is kept in `failure`, a future; who waits for it ends the run."""

    def __init__(self) -> None:
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tasks: list[asyncio.Task[Any]] = []

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run it beside the others."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                if not self.failure.done():
                    self.failure.set_exception(error)

        self.tasks.append(asyncio.create_task(guarded()))
