"""Try every client, and the examples, on the endpoint of the running product. `make clients-test` runs it.

Arguments: a Python that has tests/clients/python/requirements.lock; `--write`: keep what was shown, for the table of
docs/openai.md (then `make docs`); or cases to try alone, by prompt. Node finds its packages by `npm ci`. Exit code 1
where an answer, an error's code or what was shown is another. All clients are tried at once, against one Kafka, worker
and gateway.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
from product import product

from examples import examples, failed
from openai_shown import CASES, CLIENTS, FILE, Shown, load

HERE = Path(__file__).parent
PATIENCE_S = 600
"""For the clients of one language, on a machine that does other things too."""


async def main(python: str, *options: str) -> int:
    """Run each script; how many failed."""
    commands = [
        ["node", str(HERE / "node" / "try_clients.mjs")],
        [python, "-I", str(HERE / "python" / "try_clients.py")],
    ]
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    begun = time.monotonic()
    with TemporaryDirectory(prefix="endocrine-clients-") as name:
        folder = Path(name)
        cases = [option for option in options if option in CASES]
        async with product(folder) as everything:
            connections = {prompt: one for prompt, one in everything.items() if prompt in cases or not cases}
            (folder / "connections.json").write_text(json.dumps(connections))
            print(f"the product runs after {time.monotonic() - begun:.0f} s", flush=True)
            files = [folder / f"{number}.json" for number in range(len(commands))]
            scripts = [
                tried([*command, str(folder / "connections.json"), str(file)])
                for command, file in zip(commands, files, strict=True)
            ]
            programs = [failed(one, everything["allowed tool"]) for one in examples(python, folder)]
            wrong = sum(await asyncio.gather(*scripts, *programs))
        shown: dict[str, Any] = {}
        for file in files:
            shown |= json.loads(file.read_text()) if file.exists() else {}
    print(f"all was tried after {time.monotonic() - begun:.0f} s")
    different = list(differences(load(), shown))
    if cases:
        different = [line for line in different if any(f": {prompt}: " in line for prompt in cases)]
    if "--write" in options and not cases:
        FILE.write_text(json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    elif different:
        print(*different, sep="\n")
        print(f"what clients show is not what {FILE.name} says; --write keeps it, and `make docs` writes the table")
        wrong += 1
    return wrong


def differences(known: Shown, shown: Shown) -> Iterator[str]:
    """A line for each client, case and mode that shows something else."""
    for client in CLIENTS:
        for prompt in CASES:
            before, now = (found.get(client, {}).get(prompt, {}) for found in (known, shown))
            for mode in sorted(before.keys() | now.keys()):
                if before.get(mode) != now.get(mode):
                    yield f"{client}: {prompt}: {mode}: {now.get(mode)}, not {before.get(mode)}"


async def tried(command: list[str]) -> bool:
    """Run a script, print what it printed once it ends; whether it failed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        out = f"{command}: not done after {PATIENCE_S} s".encode()
        await process.wait()
    print(out.decode(), end="", flush=True)
    return process.returncode != 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
