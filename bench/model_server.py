"""The model server that both proxies stand before: the scripted one, with the time that each request took in it.

A request is known by a marker in its prompt, which whoever passes it on keeps. `GET /times` on a second port gives
milliseconds by marker, and forgets them. `python -m bench.model_server READY_FILE`: both ports go into the file.
"""

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import uvloop
from aiohttp import ClientSession, web

from endocrine.pipeline.local.fake_llm.script import parse_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer

MARKER = "request-%07d"
_FOUND = re.compile(r"request-(\d{7})")
DELAY_S = 0.05
"""What the model takes: a tenth of what a real one does, so that what is added to it is seen."""
SCRIPT = {"rules": [{"name": "any", "steps": [{"text": "Within five working days.", "delay_s": DELAY_S}]}]}


class TimedServer(ScriptedServer):
    """A scripted server that notes how long each request was in it."""

    def __init__(self) -> None:
        super().__init__(parse_script(SCRIPT))
        self.times: dict[int, float] = {}

    async def _answer(self, request: web.Request, api: Any) -> web.StreamResponse:
        began = time.perf_counter()
        marked = _FOUND.search(await request.text())
        answer = await super()._answer(request, api)
        if marked is not None:  # a request that is tried again counts with both tries
            number = int(marked[1])
            self.times[number] = self.times.get(number, 0.0) + 1000 * (time.perf_counter() - began)
        return answer


async def serve(ready: Path) -> None:
    """Serve until ended."""
    async with TimedServer() as server:

        async def times(_: web.Request) -> web.Response:
            found, server.times = server.times, {}
            return web.Response(
                body=orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS), content_type="application/json"
            )

        app = web.Application()
        app.router.add_get("/times", times)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        part = ready.with_suffix(".part")
        part.write_text(f"{server.base_url} {runner.addresses[0][1]}")
        part.replace(ready)
        await asyncio.Event().wait()


async def times_of(port: int) -> dict[int, float]:
    """Milliseconds in the model server by number of the request, since the last question."""
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/times") as answer:
        return {int(number): float(ms) for number, ms in orjson.loads(await answer.read()).items()}


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
