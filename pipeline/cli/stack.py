"""`endocrine up`, `down`, `status`: a local stack that stays when the command ends."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from endocrine.pipeline.cli.common import Bootstrap, on_broker, settings_of

if TYPE_CHECKING:
    from endocrine.pipeline.local.jars import Progress

Fetch = Annotated[bool, typer.Option("--fetch-only", help="Fetch what it needs, and start nothing.")]
ABSENT = 1
"""Exit code of `status` when no stack is up, and no broker is named."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)


def up(fetch_only: Fetch = False) -> None:
    """Start Kafka and Valkey on this folder; they stay until `endocrine down`.

    A part that ENDOCRINE_BOOTSTRAP or ENDOCRINE_REDIS_URL names is not started. Where one has ended by itself, both are
    started anew. Exit codes: 0 up; 1 failed. Data lies
    in ENDOCRINE_DATA_DIR (default .endocrine); the ports stay the same from start to start.
    """
    from endocrine.pipeline.cli.stack_status import report
    from endocrine.pipeline.local import stack
    from endocrine.pipeline.local.prepare import prepared
    from endocrine.pipeline.process.settings import Settings
    from endocrine.pipeline.process.subprocesses import BrokerError

    settings = Settings()
    kafka, valkey = "bootstrap" not in settings.model_fields_set, settings.redis_url is None

    async def start() -> None:
        if kafka:
            await prepared(step)
        if not fetch_only:
            await stack.LocalStack(settings.data_dir, kafka=kafka, valkey=valkey, stays=True).start()

    begun = time.monotonic()
    try:
        found = stack.running(settings.data_dir)
        if found and found.stays and not fetch_only and (lost := found.lost(kafka=kafka, valkey=valkey)):
            _print(f"{' and '.join(lost)} had ended: both are started anew")
            stack.end(settings.data_dir)
            found = None
        if found is None or not found.stays or fetch_only:
            asyncio.run(start())
            _print(f"done ({time.monotonic() - begun:.1f} s)")
    except BrokerError as error:
        _fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not fetch_only:
        print("\n".join(report(settings.data_dir)))


def down() -> None:
    """End the stack that `endocrine up` started; its data stays. Exit codes: 0 ended, also if none was up; 1 failed."""
    from endocrine.pipeline.local import stack
    from endocrine.pipeline.process.settings import Settings

    folder = Settings().data_dir
    found = stack.running(folder)
    if found and not found.stays:
        _fail(stack.in_use(folder.absolute()))
    print("the local stack has ended" if stack.end(folder) else _none(folder))


def status(bootstrap: Bootstrap = None) -> None:
    """Show the local stack, workers with their partitions, the lag of each agent, and the last incident.

    Exit codes: 0 shown, 1 no broker is named and no local stack is up, 2 the broker cannot be read.
    """
    from endocrine.pipeline.cli.stack_status import deployment, report
    from endocrine.pipeline.process.settings import Settings

    settings = Settings()
    lines = report(settings.data_dir)
    if lines:
        print("\n".join(lines))
    elif bootstrap is None and "bootstrap" not in settings.model_fields_set:
        print(_none(settings.data_dir))
        raise typer.Exit(ABSENT)
    found = settings_of(bootstrap)
    print("\n".join(on_broker(found, deployment(found))))


@contextmanager
def step(doing: str) -> Iterator["Progress"]:
    """Show on stderr what takes a while; yield what takes its progress."""
    from rich.console import Console

    from endocrine.pipeline.local.live.display import bar

    console = Console(stderr=True)
    if not console.is_terminal:
        _print(f"{doing} ...")
        yield lambda done, total: None
        return
    with bar(console, doing) as progress:
        yield progress


def _none(folder: Path) -> str:
    return f"no local stack runs on {folder.absolute()}; `endocrine up` starts one"


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(error: Exception) -> NoReturn:
    _print(f"error: {error}")
    raise typer.Exit(1)
