"""The program of docs/applications.md, run as its reader runs it, against workers on a broker."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from running import worker_in_process
from shared_broker import without_security

PROGRAM = Path(__file__).parents[2] / "examples" / "kafka-python" / "governed.py"
QUESTION = "How long do refunds take?"


@pytest.fixture
async def topics(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await ensure_topics(settings, [agent.name for agent in AGENTS])


async def run(settings: Settings, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and what it prints. Without a model's key, and without our own code on its path."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("OPENAI_", "ENDOCRINE_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        str(PROGRAM),
        QUESTION,
        *arguments,
        env={
            **inherited,
            "ENDOCRINE_BOOTSTRAP": without_security(settings.bootstrap),
            "ENDOCRINE_PREFIX": settings.prefix,
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def values(wire: Any, settings: Settings, topic: str) -> list[dict[str, Any]]:
    """All records of a topic by now."""
    found = []
    for partition in range(settings.partitions):
        count = await wire.end_offset(settings.prefix + topic, partition)
        found += [orjson.loads(one.value) for one in await wire.read(settings.prefix + topic, count, partition)]
    return found


@pytest.mark.usefixtures("topics")
async def test_the_program_obeys_what_is_decided_and_writes_no_dead_letter(settings: Settings, wire: Any) -> None:
    async with worker_in_process(settings, AGENTS, shipped_policy()):
        code, output = await run(settings)
    assert code == 0, output
    lines = output.splitlines()
    assert "revision 0: balanced" in lines[0]
    assert lines[1] == "  tool retrieve_knowledge: allowed, done"
    assert lines[3] == "  tool exec_code: not run, disabled_by_flag"
    # The model is asked again only under the revision that the blocked call made.
    assert "revision 1: strict" in lines[4]
    assert "tools retrieve_knowledge" in lines[4]
    assert lines[5].startswith("answer: [scripted]")
    assert [card["rating"] for card in await values(wire, settings, "feedback")] == [5]
    assert [result["tool"] for result in await values(wire, settings, "tool-results")] == ["retrieval"]
    for topic in CATALOGUE.values():
        if topic.owner:
            assert await values(wire, settings, topic.dead_letters) == []


@pytest.mark.usefixtures("topics")
async def test_a_signal_of_the_program_makes_its_turn_strict_from_the_beginning(settings: Settings) -> None:
    async with worker_in_process(settings, AGENTS, shipped_policy()):
        code, output = await run(settings, "--signal", "alignment_risk=0.8")
    assert code == 0, output
    assert "revision 0: strict, temperature 0.32" in output.splitlines()[0]
    assert "open_url" not in output


@pytest.mark.usefixtures("topics")
async def test_without_a_worker_the_program_runs_no_tool_and_says_so(settings: Settings, wire: Any) -> None:
    code, output = await run(settings, ENDOCRINE_EXAMPLE_WAIT_S="0.2")
    assert code == 0, output
    assert "no parameters came in time" in output.splitlines()[0]
    assert "retrieve_knowledge: not run, no decision in time" in output
    assert await values(wire, settings, "tool-results") == []


async def test_a_broker_that_is_away_is_named_in_one_line(settings: Settings) -> None:
    code, output = await run(settings.model_copy(update={"bootstrap": "127.0.0.1:1"}))
    assert (code, output) == (2, "error: no broker answers at 127.0.0.1:1; set ENDOCRINE_BOOTSTRAP=HOST:PORT\n")
