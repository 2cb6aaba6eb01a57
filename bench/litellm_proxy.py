"""A LiteLLM proxy before a model server: from an environment of its own, one worker, no database, no internet."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from aiohttp import ClientError, ClientSession

from bench.servers import POLL_S, READY_S, Server
from endocrine.pipeline.process import subprocesses as child_processes

OFFLINE = {
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "NO_DOCS": "True",
    "DISABLE_ADMIN_UI": "True",
}
"""Price maps and other lists of theirs come with the package; nothing is fetched, nothing reported."""
GRACE_S = 10.0


def config(model: str, base_url: str) -> dict[str, object]:
    """Its configuration: one model, and none of its further work (the callbacks and retries that it offers)."""
    passed_on = {"model": f"openai/{model}", "api_base": base_url, "api_key": "none"}
    return {
        "model_list": [{"model_name": model, "litellm_params": passed_on}],
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "general_settings": {"disable_spend_logs": True},
    }


def environment(home: Path) -> dict[str, str]:
    """What the proxy sees of ours: where programs are, and no key of anybody."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(home), **OFFLINE}


@asynccontextmanager
async def litellm(program: Path, key: str, model: str, base_url: str, folder: Path) -> AsyncIterator[Server]:
    """Start it; yields the server. program: `litellm`. key: that it will ask for.

    Raises RuntimeError with its log where it does not come up.
    """
    home = folder / "litellm"
    home.mkdir()
    settings, log = home / "config.yaml", home / "log"
    settings.write_bytes(orjson.dumps(config(model, base_url)))  # JSON is YAML
    port = child_processes.free_port()
    argv = [str(program), "--config", str(settings), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    process = child_processes.spawn(argv, log, env=environment(home) | {"LITELLM_MASTER_KEY": key})
    try:
        await _answering(process.poll, port, log)
        yield Server("litellm", process.pid, port, "/v1/chat/completions")
    finally:
        await asyncio.to_thread(child_processes.end, process, GRACE_S)


async def _answering(ended: object, port: int, log: Path) -> None:
    async with asyncio.timeout(READY_S), ClientSession() as session:
        while True:
            if callable(ended) and ended() is not None:
                raise RuntimeError(f"litellm ended; its log ends with:\n{child_processes.last_lines(log, 20)}")
            try:
                async with session.get(f"http://127.0.0.1:{port}/health/liveliness") as answer:
                    if answer.status == 200:
                        return
            except ClientError:
                pass
            await asyncio.sleep(POLL_S)
