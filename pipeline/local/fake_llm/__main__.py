"""`python -m endocrine.pipeline.local.fake_llm [FILE] [--port N]`: the scripted server by itself, until Ctrl-C."""

import argparse
import asyncio
import contextlib
from pathlib import Path

from endocrine.pipeline.local.fake_llm.script import load_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer


async def _serve(script: Path | None, port: int) -> None:
    async with ScriptedServer(load_script(script), port=port) as server:
        print(f"scripted server at {server.base_url}; use model `scripted` and any key", flush=True)
        await asyncio.Event().wait()


parser = argparse.ArgumentParser(prog="python -m endocrine.pipeline.local.fake_llm", description=__doc__)
parser.add_argument("script", nargs="?", type=Path, help="YAML or JSON; default: the bundled demo")
parser.add_argument("--port", type=int, default=0, help="default: any free one")
given = parser.parse_args()
with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(_serve(given.script, given.port))
