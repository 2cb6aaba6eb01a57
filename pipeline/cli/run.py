"""`endocrine run` and `endocrine demo`: everything on this machine, in one."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

RUN_ROUNDS = 3
"""Of the scenario: two and a half minutes at RUN_PACE, then it goes on without."""
RUN_PACE = 4.0
"""Records per second: slow enough to read along."""
DEMO_PACE = 50.0
"""Records per second at most; lock step is what holds a demo back."""

BOOTSTRAP = typer.Option(
    metavar="HOST:PORT", envvar="ENDOCRINE_BOOTSTRAP", help="A Kafka to use instead of one started here."
)
PACE = typer.Option(min=0.01, metavar="RECORDS_PER_S", help="How fast the scenario is fed, at most.")
ROUNDS = typer.Option(
    min=0,
    metavar="N",
    help="Rounds of the scenario to feed, with those that earlier runs on this folder fed; then it goes on without.",
)
DEMO_ROUNDS = typer.Option(min=1, metavar="N", help="Rounds of the scenario.")


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("run")(run)
    app.command("demo")(demo)


def run(
    bootstrap: Annotated[str | None, BOOTSTRAP] = None,
    pace: Annotated[float, PACE] = RUN_PACE,
    rounds: Annotated[int, ROUNDS] = RUN_ROUNDS,
) -> None:
    """Run Kafka, Valkey, topics, worker, read models, the bundled scenario and a live view; Ctrl-C ends it, exit code
    0.

    Data lies in ENDOCRINE_DATA_DIR (default .endocrine); started again, it goes on from there.
    """
    raise typer.Exit(_run(demo=False, bootstrap=bootstrap, pace=pace, rounds=rounds))


def demo(
    bootstrap: Annotated[str | None, BOOTSTRAP] = None,
    pace: Annotated[float, PACE] = DEMO_PACE,
    rounds: Annotated[int, DEMO_ROUNDS] = 1,
) -> None:
    """Run the same on a finite scenario: ends by itself with a summary, the same for the same scenario.

    Exit codes: 0 done, or ended by Ctrl-C; 1 failed; 2 the policy cannot be used. Data lies in `demo` under the data
    folder, emptied at each start; on a Kafka that is there, in topics of its own, deleted at the end.
    """
    raise typer.Exit(_run(demo=True, bootstrap=bootstrap, pace=pace, rounds=rounds))


def _run(*, demo: bool, bootstrap: str | None, pace: float, rounds: int) -> int:
    from endocrine.pipeline.local.live.plan import Plan
    from endocrine.pipeline.local.live.session import Session
    from endocrine.pipeline.process.settings import Settings

    async def session() -> bool:
        return await Session(settings, Plan(demo, bootstrap, pace, rounds)).run()

    settings = Settings()
    try:
        done = asyncio.run(session())
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        return _explained(error, bootstrap or "the local stack", settings.data_dir)
    if not done:
        print(f"stopped; `endocrine {'demo' if demo else 'run'}` starts it again", file=sys.stderr)
    elif bootstrap is None:
        print(_next(settings.data_dir / "demo"), file=sys.stderr)
    return 0


def _next(folder: Path) -> str:
    """What to try on what a demo left there; nothing runs on it any more."""
    where = f"ENDOCRINE_DATA_DIR={folder} endocrine"
    return f"""
What it left can be looked at; each command starts Kafka for itself and ends it again:
  {where} explain eve-turn-7      why that turn was strict, and its tool denied
  {where} incidents               what was blocked
  {where} replay verify           prove every derived record again
Next: `endocrine run`, and a program of your own (docs/tutorial.md)"""


def _explained(error: Exception, where: str, data_dir: Path) -> int:
    """Say why a run failed; return the exit code. Raises what is a mistake of ours."""
    from aiokafka.errors import KafkaError  # now: a run is not to wait for imports that only failures need

    from endocrine.pipeline.kafka.admin import TopicsError
    from endocrine.pipeline.local.live.plan import RunFailed
    from endocrine.pipeline.local.live.worker import WorkerFailed
    from endocrine.pipeline.process.policy_files import PolicyFileError
    from endocrine.pipeline.process.subprocesses import BrokerError
    from endocrine.pipeline.views.redis import ProjectionError

    if isinstance(error, PolicyFileError):
        print(error, file=sys.stderr)
        return 2
    if isinstance(error, (BrokerError, TopicsError, WorkerFailed, ProjectionError, RunFailed)):
        print(f"error: {error}", file=sys.stderr)
        return 1
    if isinstance(error, (KafkaError, OSError)):
        print(f"error: {where}: {type(error).__name__}: {error}; logs are in {data_dir}", file=sys.stderr)
        return 1
    raise error
