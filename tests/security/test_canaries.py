"""Commands with a canary as each credential, against servers that refuse it: no output holds it, and each command ends
with exit code 2 and an error of one line."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from endocrine.pipeline.process.settings import environment
from secured_broker import SecuredBroker

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
CANARY = "canary-7f3a"
COMMANDS = ["worker", "gateway --port 0", "connect model", "project", "status", "topics create",
            "acls check --role worker", "lag", "incidents", "replay verify", "dlq list"]  # fmt: skip


@pytest.mark.parametrize("given", ["variable", "file"])
async def test_no_command_prints_a_credential_that_is_refused(
    broker: SecuredBroker, given: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(CANARY)
    settings = broker.settings("worker", data_dir=tmp_path)
    given_to = {name: value for name, value in os.environ.items() if not name.startswith("ENDOCRINE_")}
    given_to |= environment(settings) | {
        "ENDOCRINE_REDIS_URL": f"rediss://user:{CANARY}@127.0.0.1:1/0",
        "ENDOCRINE_MODEL_BASE_URL": f"http://user:{CANARY}@127.0.0.1:1/v1",
    }
    for name in ("ENDOCRINE_KAFKA_PASSWORD", "ENDOCRINE_REDIS_PASSWORD", "ENDOCRINE_MODEL_API_KEY"):
        given_to.pop(f"{name}_FILE", None)
        given_to[name if given == "variable" else f"{name}_FILE"] = CANARY if given == "variable" else str(file)
    for command in COMMANDS:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "endocrine.pipeline.cli", *command.split(), env=given_to,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output = (await asyncio.wait_for(process.communicate(), 120))[0].decode()
        assert CANARY not in output, command
        assert "Traceback" not in output, command
        errors = [line for line in output.splitlines() if "refused the credentials of User:worker" in line]
        assert (process.returncode, len(errors)) == (2, 1), f"{command}\n{output}"
