"""The local stack of a data folder for one command that only reads: started where it does not run, ended with it."""

import asyncio
import sys
from pathlib import Path

from endocrine.pipeline.cli.app import at_the_end
from endocrine.pipeline.cli.common import fail
from endocrine.pipeline.cli.stack import step
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import LocalStack
from endocrine.pipeline.process.subprocesses import BrokerError


def start_for_this_command(data_dir: Path) -> None:
    """Start Kafka and Valkey on the folder; they end when the command ends, however that happens.

    No worker runs on it, so nothing is decided meanwhile. What cannot be started ends the command with a sentence.
    """
    print(f"no local stack runs in {data_dir}: starting it for this command ...", file=sys.stderr, flush=True)
    stack = LocalStack(data_dir)

    async def start() -> None:
        await prepared(step)
        await stack.start()

    try:
        asyncio.run(start())
    except BrokerError as error:
        fail(str(error))
    at_the_end.callback(lambda: asyncio.run(stack.stop()))
