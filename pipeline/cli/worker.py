"""`endocrine worker`: one worker process."""

import asyncio
import os

import structlog
import typer

from agents.roster import AGENTS
from pipeline.logs import set_up_logs
from pipeline.policy_files import PolicyFileError, load_policy
from pipeline.runtime.worker.main import Worker, run_worker
from pipeline.settings import Settings

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker")(worker)


def worker() -> None:
    """Run one worker until SIGINT or SIGTERM. Configured by ENDOCRINE_* (see pipeline/settings.py).

    Exit codes: 0 stopped as asked, 1 failed, 2 the settings or the policy cannot be used.
    """
    set_up_logs()
    settings = Settings()
    try:
        policy = load_policy(settings.policy, os.environ)
    except PolicyFileError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(_run(Worker(settings, AGENTS, policy)))


def _run(worker: Worker) -> int:
    try:
        return asyncio.run(run_worker(worker))
    except Exception as error:
        log.error("worker failed", error=f"{type(error).__name__}: {error}")
        return 1
