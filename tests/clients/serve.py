"""Run the product that clients are tried on until its standard input ends, to try one by hand.

Run from the top folder: `PYTHONPATH=tests/support .venv/bin/python tests/clients/serve.py`. The first line of the
output names a file of connections, the argument of both scripts; product.py has the prompts and what they bring.
"""

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from product import product


async def main() -> None:
    """Serve."""
    with TemporaryDirectory(prefix="endocrine-clients-") as name:
        async with product(Path(name)) as connections:
            file = Path(name, "connections.json")
            file.write_text(json.dumps(connections))  # noqa: ASYNC240 - before anything is asked
            print(file, flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
