"""One run of `endocrine chat`, from start to end."""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Any

from rich.console import Console

from endocrine.pipeline.local.chat.conversation import Conversation
from endocrine.pipeline.local.chat.lines import Lines
from endocrine.pipeline.local.chat.stack import demo_stack
from endocrine.pipeline.local.chat.talk import Talk
from endocrine.pipeline.local.fake_llm.script import Script
from endocrine.pipeline.process import stopping
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.status.presence import group_members, missing_parts


async def session(settings: Settings, script: Script | None, identity: str, model: str | None, answer_s: float) -> None:
    """Talk until the input ends, a signal asks to stop, or a part that it needs fails, which it raises.

    script: start a demo stack that answers from it; None: `settings` are those of a running stack. From the main
    thread.
    """
    stop = asyncio.Event()
    with stopping.asked(stop.set, more=(signal.SIGHUP,)):
        await _talk(settings, script, identity, model, answer_s, stop)


async def _talk(
    settings: Settings, script: Script | None, identity: str, model: str | None, answer_s: float, stop: asyncio.Event
) -> None:
    console = Console(highlight=False)
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(text: str) -> None:
        console.print(f"  {text}", style="dim", markup=False, soft_wrap=True)

    def failed(error: BaseException) -> None:
        if not failure.done():
            failure.set_exception(error)

    async def talked() -> None:
        async with AsyncExitStack() as ending:
            ours = settings
            if script is not None:
                console.print("DEMO: answers come from a script, not from a model.", style="bold yellow")
                ours = await ending.enter_async_context(demo_stack(settings, script, note, failed))
            talk = Talk(ours, identity, model)
            ending.push_async_callback(talk.stop)
            await talk.start()
            opening: tuple[str, ...] = ()
            if script is None:
                for line in missing_parts(ours.group, await group_members(ours)):
                    console.print(f"  {line}", style="yellow", markup=False, soft_wrap=not console.is_terminal)
            elif script.opening:
                if console.is_terminal:
                    note("signals at work: the same question twice, the second time with a signal; then you go on")
                    opening = script.opening
                else:
                    note(f"signals at work: try the lines {', '.join(map(repr, script.opening))}")
            note("/help lists commands; end with Ctrl-D or /quit")
            await Conversation(talk, Lines(), console, answer_s=answer_s, opening=opening).run()
            if console.is_terminal:
                console.print()

    work = asyncio.create_task(talked())
    asked = asyncio.create_task(stop.wait())
    waiting: set[asyncio.Future[Any]] = {work, asked, failure}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    # A second Ctrl-C must not cut the ending short: its handler only sets `stop` again.
    await cancelled([work, asked])
    if failure.done():
        failure.result()
    if not work.cancelled():
        work.result()
