"""`endocrine worker`: one worker process."""

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import structlog
import typer

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.common import Bootstrap, fail, require_acls, settings_of
from endocrine.pipeline.kafka.admin import ConnectionRefused
from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.logs import set_up_logs
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
from endocrine.pipeline.process.prompt_keys import load_prompt_keys
from endocrine.pipeline.process.roles import ROLES, agents_of, group_of, overlapping
from endocrine.pipeline.process.seal_keys import KeyFileError, SealKeyError
from endocrine.pipeline.process.tracing import TracesUnavailable
from endocrine.pipeline.runtime.worker.main import Worker, run_worker
from endocrine.pipeline.runtime.worker.tuning import tune_process

log = structlog.get_logger(__name__)
ROLE = typer.Option(
    metavar="|".join(ROLES),
    help="Agents that it runs, in a consumer group of the role: `decide` those that somebody waits for, `record` the "
    "others. A deployment has workers of both, or workers with all.",
)
READY_FILE = typer.Option(help="File to create once the worker has taken over its partitions.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker")(worker)


def worker(
    ready_file: Annotated[Path | None, READY_FILE] = None,
    role: Annotated[str, ROLE] = "all",
    bootstrap: Bootstrap = None,
) -> None:
    """Run one worker until SIGINT or SIGTERM. Configured by ENDOCRINE_* (see pipeline/process/settings.py).

    Exit codes: 0 stopped as asked, 1 failed, 2 the settings or the policy cannot be used, 3 a partition stalled.
    """
    set_up_logs()
    if role not in ROLES:
        fail(f"--role: a text of {len(role)} characters; expected one of {', '.join(ROLES)}")
    settings = settings_of(bootstrap)
    try:
        prompt_keys = load_prompt_keys(settings)
        policy = load_policy(settings.policy, os.environ, prompt_keys)
    except (PolicyFileError, KeyFileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        tracing.start(settings, "worker")
        own = settings.model_copy(update={"group": group_of(role, settings.group)})
        agents, before = agents_of(role, AGENTS), overlapping(role, settings.group)
        runs = Worker(own, agents, policy, prompt_keys=prompt_keys, overlapping=before)
    except (SealKeyError, TracesUnavailable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    require_acls(settings, "worker")
    code = _run(runs, ready_file)
    tracing.stop()
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        # Faust's consumer thread may hang in a join that the broker never answers; nothing it could do matters now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


def _run(worker: Worker, ready_file: Path | None) -> int:
    async def both() -> int:
        telling = asyncio.create_task(_tell_ready(worker, ready_file)) if ready_file else None
        try:
            return await run_worker(worker)
        finally:
            if telling:
                telling.cancel()

    tune_process()
    try:
        return asyncio.run(both())
    except ConnectionRefused as error:
        typer.echo(f"error: {error}", err=True)
        return 2
    except Exception as error:
        log.error("worker failed", error=f"{type(error).__name__}: {error}")
        return 1


async def _tell_ready(worker: Worker, ready_file: Path) -> None:
    await worker.ready.wait()
    await asyncio.to_thread(ready_file.touch)
