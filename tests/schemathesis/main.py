"""schemathesis (https://schemathesis.readthedocs.io) against a running gateway, by its own OpenAPI document.

`make schemathesis` calls this; docs/testing.md says what is checked. A Kafka, a Valkey, a worker, a model connector
with a scripted model and the gateway are started for it. Exit code 0: nothing was found, and no fault was logged.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "support"))

from structlog.testing import capture_logs

from effects import running
from endocrine.pipeline.connectors.model.main import model_effect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.policy_files import load_policy
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from gateway_serving import Door, served, stack
from openai_stack import script

ANYTHING = """
applications:
  "*": {tools: ["*"], models_allowed: ["*"]}
"""
"""A policy under which a request is not refused for its names."""
CONFIG = Path(__file__).parent / "schemathesis.toml"


@contextlib.asynccontextmanager
async def whole(folder: Path) -> AsyncIterator[Door]:
    """Everything that answers, in this process. Waits are short: whoever sends nonsense waits for nobody."""
    (folder / "any.yaml").write_text(ANYTHING)
    policy = load_policy(folder / "any.yaml")
    async with contextlib.AsyncExitStack() as ending:
        node = await ending.enter_async_context(KafkaNode(folder / "kafka"))
        valkey = ValkeyServer(folder / "valkey")
        await valkey.start()
        ending.push_async_callback(valkey.stop)
        settings = Settings(
            bootstrap=node.bootstrap, redis_url=valkey.url, data_dir=folder / "data", partitions=2, group="schemathesis"
        )
        model = await ending.enter_async_context(ScriptedServer(script()))
        asked = ModelSettings(base_url=model.base_url, api_key="any", tries=1)
        asking = model_effect(settings, asked, policy, load_seals(settings))
        await ending.enter_async_context(stack(settings, policy=policy))
        ending.push_async_callback(asking.close)
        await ending.enter_async_context(running(settings, asking))
        limits = {"advice_s": 2.0, "decision_s": 3.0, "answer_s": 5.0, "read_s": 5.0}
        yield await ending.enter_async_context(served(settings, policy=policy, **limits))


async def run(given: argparse.Namespace) -> int:
    """The exit code."""
    with tempfile.TemporaryDirectory(prefix="endocrine-schemathesis-") as folder, capture_logs() as logged:
        async with whole(Path(folder)) as door:
            command = [
                given.program, "--config-file", str(CONFIG), "run", f"{door.url}/openapi.json",
                "--header", f"Authorization: Bearer {door.secret}", "--max-time", str(given.seconds), *given.more,
            ]  # fmt: skip
            process = await asyncio.create_subprocess_exec(
                *command, cwd=folder, env={**os.environ, "PYTHONPATH": str(CONFIG.parent)}
            )
            code = await process.wait()
    faults = [entry for entry in logged if entry["log_level"] == "error"]
    for entry in faults:
        print(f"the gateway logged: {entry}", file=sys.stderr)
    return code or int(bool(faults))


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("program", type=lambda path: Path(path).absolute(), help="the command `schemathesis`")
    parser.add_argument("--seconds", type=int, default=600, help="time of the run (default: 600)")
    given, given.more = parser.parse_known_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return asyncio.run(run(given))


if __name__ == "__main__":
    sys.exit(main())
