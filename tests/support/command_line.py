"""Commands in this process: dozens in a test, and each process would take a second to start."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import typer
from typer.testing import CliRunner, Result

from endocrine.pipeline.process.settings import Settings


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables with which a command is one of this deployment."""
    names = ("bootstrap", "prefix", "partitions", "redis_url", "redis_db", "group", "data_dir")
    return {f"ENDOCRINE_{name.upper()}": str(getattr(settings, name)) for name in names}


def command_line(settings: Settings, *modules: Any) -> Callable[..., Awaitable[Result]]:
    """Return what runs the words of a command of these modules, in a thread; named arguments are more variables.

    A fault of the command itself is raised.
    """
    environment = environment_of(settings)

    async def call(*words: object, **more: str) -> Result:
        app = typer.Typer()
        app.callback()(lambda: None)
        for module in modules:
            module.register(app)
        result = await asyncio.to_thread(CliRunner().invoke, app, [*map(str, words)], env=environment | more)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
