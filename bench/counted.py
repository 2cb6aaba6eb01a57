"""A command of ours with its requests to Kafka counted: run by path, with the interpreter of any checkout.

    counted.py FIFO REPORT COMMAND...

Whatever is written to the FIFO has it write a report, as JSON: requests since the start by client and kind, processor
time of each thread in seconds.
"""

import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

counts: Counter[str] = Counter()


def _count() -> None:
    from aiokafka.client import AIOKafkaClient

    send = AIOKafkaClient.send

    async def counted(self: Any, node_id: Any, request: Any, **named: Any) -> Any:
        kind = type(request).__name__.partition("Request")[0].replace("Session", "Fetch")
        counts[f"{_role(self._client_id)} {kind}"] += 1
        return await send(self, node_id, request, **named)

    AIOKafkaClient.send = counted


def _role(client_id: str) -> str:
    """The part of a client's name that is the same in every process."""
    last = client_id.rpartition("-")[2]
    return last if last.isalpha() and not client_id.startswith("aiokafka") else "client"


def _threads() -> dict[str, float]:
    found: dict[str, float] = {}
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for task in Path("/proc/self/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        name = names.get(int(task.name), "native")
        name = "main" if name == "MainThread" else name.rstrip("0123456789_-")
        found[name] = found.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _report(fifo: Path, target: Path) -> None:
    while True:
        fifo.read_text()
        draft = target.with_suffix(".draft")
        draft.write_text(json.dumps({"requests": dict(counts), "threads": _threads()}))
        draft.rename(target)


def main() -> None:
    """See the module."""
    fifo, target, *command = sys.argv[1:]
    _count()
    threading.Thread(target=_report, args=(Path(fifo), Path(target)), name="report", daemon=True).start()
    sys.argv = ["endocrine", *command]
    from endocrine.pipeline.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
