"""`endocrine chat`: talk to a model through the whole path."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from endocrine.pipeline.cli.common import Bootstrap, broker_error, settings_of

DEMO = typer.Option(help="Start everything here, with a scripted stand-in for the model; nothing leaves this machine.")
SCRIPT = typer.Option(metavar="FILE", help="With --demo: another script than the bundled one.")
IDENTITY = typer.Option(metavar="NAME", help="Who talks.")
MODEL = typer.Option(metavar="MODEL", help="Model to ask. Default: `default_model` of the policy.")
TIMEOUT = typer.Option(min=1, metavar="SECONDS", help="How long to wait for an answer.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chat")(chat)


def chat(
    demo: Annotated[bool, DEMO] = False,
    script: Annotated[Path | None, SCRIPT] = None,
    bootstrap: Bootstrap = None,
    identity: Annotated[str, IDENTITY] = "you",
    model: Annotated[str | None, MODEL] = None,
    timeout: Annotated[float, TIMEOUT] = 180.0,
) -> None:
    """Talk to a model through the whole path: each answer with its mode, parameters, tools, and why.

    Reads lines from standard input, a terminal or not; `/help` lists the commands. Exit codes: 0 the input
    ended, or Ctrl-C; 1 failed, or no answer came; 2 the policy or the script cannot be used.
    """
    if script is not None and not demo:
        raise typer.BadParameter("it goes with --demo", param_hint="--script")
    raise typer.Exit(_chat(demo, script, bootstrap, identity, model, timeout))


def _chat(
    demo: bool, script_file: Path | None, bootstrap: str | None, identity: str, model: str | None, timeout_s: float
) -> int:
    from aiokafka.errors import KafkaError

    from endocrine.pipeline.core.name_table import NameFault, NameTable
    from endocrine.pipeline.kafka.admin import TopicsError
    from endocrine.pipeline.local.chat.conversation import NoAnswer
    from endocrine.pipeline.local.chat.session import session
    from endocrine.pipeline.local.fake_llm.script import ScriptError, load_script
    from endocrine.pipeline.local.fake_llm.server import MODEL as SCRIPTED
    from endocrine.pipeline.local.live.worker import WorkerFailed
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
    from endocrine.pipeline.process.settings import Settings
    from endocrine.pipeline.process.subprocesses import BrokerError

    set_up_logs("ERROR")
    try:
        NameTable().identity(identity)
    except NameFault as fault:
        print(f"error: --identity: {fault}", file=sys.stderr)
        return 2
    settings = Settings() if demo else settings_of(bootstrap)
    try:
        load_policy(settings.policy, os.environ)
        script = load_script(script_file) if demo else None
    except (PolicyFileError, ScriptError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        asyncio.run(session(settings, script, identity, model or (SCRIPTED if demo else None), timeout_s))
        return 0
    except (NoAnswer, BrokerError, TopicsError, WorkerFailed) as error:
        print(f"error: {error}", file=sys.stderr)
    except (KafkaError, OSError) as error:
        if demo:
            print(f"error: the demo's broker: {type(error).__name__}: {error}", file=sys.stderr)
        else:
            print(f"error: {broker_error(settings, error)}; or try `endocrine chat --demo`", file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    return 1
