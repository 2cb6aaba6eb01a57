"""The red team's corpus against the product, with a model that obeys the attacker: `make redteam`.

Kafka, Valkey, a worker, connectors and a gateway of its own, all on this machine; then `endocrine redteam` with
a key whose answers are judged whole before they leave; and what is about texts and pieces once more with one whose text
leaves behind a window. Exit code 1: a promise did not hold, or an attack was stopped before the rule that it is about.
"""

import asyncio
import contextlib
import logging
import os
import resource
import sys
import tempfile
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from attacked import MODEL, attacked
from endocrine.pipeline.data.redteam.corpus import load_corpus
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import PATIENT
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.settings import Settings

RUNS = (("buffered", ()), ("windowed", ("--only", "secrets")), ("windowed", ("--only", "chunks")))
"""Key, and options of the command."""


async def main(folder: Path, *options: str) -> int:
    """Run the corpus with both keys; return the exit code."""
    corpus = load_corpus()
    async with contextlib.AsyncExitStack() as ending:
        await prepared(lambda doing: contextlib.nullcontext(lambda done, total: None))
        node = await ending.enter_async_context(KafkaNode(folder / "kafka", properties=PATIENT))
        valkey = ValkeyServer(folder / "valkey")
        await valkey.start()
        ending.push_async_callback(valkey.stop)
        settings = Settings(
            bootstrap=node.bootstrap, redis_url=valkey.url, data_dir=folder / "data", partitions=2, group="redteam"
        )
        door, keys = await ending.enter_async_context(attacked(settings, corpus, folder))
        failed = 0
        for name, more in RUNS:
            file = folder / f"{name}.key"
            file.write_text(keys[name])
            print("----", name, *more, flush=True)
            command = [sys.executable, "-m", "endocrine.pipeline.cli", "redteam", "--base-url", door.url]
            command += ["--key-file", str(file), "--model", MODEL, "--must-reach", *more, *options]
            process = await asyncio.create_subprocess_exec(*command)
            failed |= await process.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="endocrine-redteam-") as name:
        for variable in [one for one in os.environ if one.startswith("ENDOCRINE_")]:
            del os.environ[variable]
        code = asyncio.run(main(Path(name), *sys.argv[1:]))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"CPU: {sum(one.ru_utime + one.ru_stime for one in used):.0f} s")
    sys.exit(code)
