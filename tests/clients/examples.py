"""The programs of examples/ that need packages of the clients, run on the product as their pages say."""

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
PATIENCE_S = 300
"""On a machine that does other things too."""
TRANSCRIPT = {"type": "user", "sessionId": "s", "message": {"content": "How long do refunds take here?"}}


class Example(NamedTuple):
    """One program."""

    name: str
    command: list[str]
    prints: str
    given: str = ""
    """Its standard input."""


def examples(python: str, folder: Path) -> list[Example]:
    """All of them. python: of the clients' environment. folder: for what they need."""
    # Node looks for packages beside the file itself.
    (folder / "node_modules").symlink_to(HERE / "node" / "node_modules")
    program = folder / "weather.mjs"
    program.write_text((EXAMPLES / "ai-sdk" / "weather.mjs").read_text())
    transcript = folder / "transcript.jsonl"
    transcript.write_text(json.dumps(TRANSCRIPT))
    hook = json.loads((EXAMPLES / "claude-code-hook" / "settings.json").read_text())["hooks"]["Stop"][0]["hooks"][0]
    stopped = {"session_id": "s", "transcript_path": str(transcript), "last_assistant_message": "Ten days, as ever."}
    return [
        Example("langchain", [python, str(EXAMPLES / "langchain" / "weather.py"), "allowed tool"], "It rains in Bonn."),
        Example("ai-sdk", ["node", str(program), "allowed tool"], "It rains in Bonn."),
        Example("claude-code-hook", shlex.split(hook["command"]), "", json.dumps(stopped)),
    ]


async def failed(example: Example, connection: dict[str, str]) -> bool:
    """Run it; whether it failed or printed something else. What it says on standard error is a failure."""
    pipe = asyncio.subprocess
    bins = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    url, key = connection["base_url"].removesuffix("/openai/v1"), connection["api_key"]
    environment = {**os.environ, "PATH": bins, "ENDOCRINE_URL": url, "ENDOCRINE_API_KEY": key}
    environment.pop("PYTHONPATH", None)
    process = await pipe.create_subprocess_exec(
        *example.command, stdin=pipe.PIPE, stdout=pipe.PIPE, stderr=pipe.PIPE, env=environment
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate(example.given.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        out, err = b"", f"not done after {PATIENCE_S} s".encode()
    right = process.returncode == 0 and example.prints in out.decode() and not err
    print(
        f"{'ok   ' if right else 'WRONG'} examples/{example.name}: {out.decode().strip()!r} {err.decode()}", flush=True
    )
    return not right
