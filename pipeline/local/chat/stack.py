"""What `endocrine chat --demo` needs, started and ended: broker, topics, scripted server, worker, connectors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.names import CONNECTORS
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.fake_llm.script import Script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.local.jars import Progress
from endocrine.pipeline.local.live.folder import emptied, held
from endocrine.pipeline.local.live.worker import WorkerChild
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import LocalStack
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.settings import Settings

_TOPICS_TIMEOUT_S = 90.0


@asynccontextmanager
async def demo_stack(
    settings: Settings, script: Script, note: Callable[[str], None], failed: Callable[[BaseException], None]
) -> AsyncIterator[Settings]:
    """Yield a stack of its own, in `chat` under the data folder, emptied first; gives its settings. From the main
    thread.

    failed: called when a part dies while it is in use. Raises BrokerError, TopicsError or WorkerFailed.
    """
    folder = settings.data_dir / "chat"
    async with contextlib.AsyncExitStack() as ending:
        ending.enter_context(held(settings.data_dir / "chat.lock", folder, "chat --demo"))
        emptied(folder)
        notes = folder / "notes"
        notes.mkdir()
        for name, text in script.notes.items():
            (notes / name).write_text(text, encoding="utf-8")
        await prepared(lambda doing: _noted(note, doing))
        note("Kafka and Valkey")
        stack = await ending.enter_async_context(LocalStack(folder))
        update = {"bootstrap": stack.bootstrap, "redis_url": stack.redis_url, "data_dir": folder}
        ours = settings.model_copy(update=update)
        await ensure_topics(ours, [agent.name for agent in AGENTS], timeout_s=_TOPICS_TIMEOUT_S)
        server = await ending.enter_async_context(ScriptedServer(script))
        note(f"scripted server at {server.base_url} (answers come from a file, not from a model)")
        extra = {
            "ENDOCRINE_MODEL_BASE_URL": server.base_url,
            "ENDOCRINE_MODEL_API_KEY": "scripted",
            "ENDOCRINE_TOOL_CORPUS": str(notes),
        }
        note("worker and connectors")
        children = [_child(ours, "worker", ("worker",), extra, note)]
        children += [_child(ours, name, ("connect", name), extra, note) for name in CONNECTORS]
        for one in children:
            ending.push_async_callback(one.stop)
        lives = [asyncio.create_task(_guarded(one, failed)) for one in children]
        ending.push_async_callback(cancelled, lives)
        ready = [asyncio.create_task(one.ready.wait()) for one in children]
        ending.push_async_callback(cancelled, ready)
        await asyncio.gather(*ready)
        yield ours


@contextlib.contextmanager
def _noted(note: Callable[[str], None], doing: str) -> Iterator[Progress]:
    note(doing)
    yield lambda done, total: None


def _child(
    settings: Settings, name: str, command: tuple[str, ...], extra: dict[str, str], note: Callable[[str], None]
) -> WorkerChild:
    async def nothing() -> None:
        """Do nothing: no restarts, so there is nobody to bury."""

    return WorkerChild(settings, note=note, bury=nothing, restarts=0, name=name, command=command, extra=extra)


async def _guarded(one: WorkerChild, failed: Callable[[BaseException], None]) -> None:
    try:
        await one.run()
    except Exception as error:
        failed(error)
