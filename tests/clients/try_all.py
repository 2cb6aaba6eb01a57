"""Try every client on the endpoint, served here over scripted turns. `make clients-test` runs it.

Arguments: a Python that has tests/clients/python/requirements.lock. Node finds its packages by `npm ci`. Exit code 1
where an answer or an error's code is wrong.
"""

import subprocess
import sys
from pathlib import Path

from scripted_turns import served, standard_port

HERE = Path(__file__).parent


def main(python: str) -> int:
    """Run each script; how many failed."""
    commands = [
        ["node", str(HERE / "node" / "try_clients.mjs")],
        [python, "-I", str(HERE / "python" / "try_clients.py")],
    ]
    with served(standard_port(), heartbeat_s=0.1) as base_url:
        return sum(subprocess.run([*command, base_url], check=False).returncode != 0 for command in commands)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
