"""Try every client on the endpoint, served here over scripted turns. `make clients-test` runs it.

Arguments: a Python that has tests/clients/python/requirements.lock; `--write`: keep what was shown, for the table of
docs/openai.md (then `make docs`). Node finds its packages by `npm ci`. Exit code 1 where an answer, an error's code or
what was shown is another.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from openai_shown import FILE, load
from scripted_turns import served, standard_port

HERE = Path(__file__).parent


def main(python: str, *options: str) -> int:
    """Run each script; how many failed."""
    commands = [
        ["node", str(HERE / "node" / "try_clients.mjs")],
        [python, "-I", str(HERE / "python" / "try_clients.py")],
    ]
    shown, failed = {}, 0
    with served(standard_port(), heartbeat_s=0.1) as base_url, TemporaryDirectory() as folder:
        for number, command in enumerate(commands):
            file = Path(folder, f"{number}.json")
            failed += subprocess.run([*command, base_url, str(file)], check=False).returncode != 0
            if file.exists():
                shown |= json.loads(file.read_text())
    if "--write" in options:
        FILE.write_text(json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    elif shown != load():
        print(f"what clients show is not what {FILE.name} says; --write keeps it, and `make docs` writes the table")
        failed += 1
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
