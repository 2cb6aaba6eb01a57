"""A service that is asked to stop ends with 0, whatever it was at: loading, joining its group, working."""

import asyncio
import random
import signal
import sys

import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.kafka.admin import ensure_topics
from running import CommandChild

pytestmark = pytest.mark.slow

SAYS_WHEN = (
    "import sys; from endocrine.pipeline.process import stopping; stopping.from_the_start(sys.argv[1:]);"
    "print('up', flush=True); from endocrine.pipeline.cli.main import main; main()"
)


@pytest.mark.parametrize("command", ["worker", "connect timekeeper", "connect tools", "project"])
async def test_a_signal_at_any_early_moment_ends_it_with_0(settings, tmp_path, command):
    await ensure_topics(settings, [agent.name for agent in AGENTS])
    rng = random.Random(command)
    child = CommandChild(settings, tmp_path / "log", command.split(), {"ENDOCRINE_DATA_DIR": str(tmp_path)})
    for moment_s in [0.0, *(rng.uniform(0, 0.6) for _ in range(3)), *(rng.uniform(0.6, 4.0) for _ in range(3))]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SAYS_WHEN, *command.split(),
            env=child.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        await asyncio.sleep(moment_s)  # the moment is what is tried
        process.send_signal(rng.choice([signal.SIGTERM, signal.SIGINT]))
        said, _ = await asyncio.wait_for(process.communicate(), 90)
        assert process.returncode == 0, (moment_s, said[-500:])
