"""`endocrine simulate`: the whole pipeline in process, on JSON lines."""

import os
import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import orjson
import typer

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.common import fail
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import source_of
from endocrine.pipeline.core.simulation import Derived, Simulation
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
from endocrine.pipeline.process.prompt_keys import load_prompt_keys
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.version import code_version
from endocrine.pipeline.views.explain.sentences import sentence

FILE = typer.Argument(help="File of JSON lines, or - for standard input.")
POLICY = typer.Option(metavar="FILE", help="Policy laid over the shipped one. Default: ENDOCRINE_POLICY.")
ONLY = typer.Option(help="Print only these topics, comma separated (with .dlq for dead letters).")
MARK = typer.Option(help='End each line\'s records with {"mark": N}, N being the number of the line from 1.')
EXPLAIN = typer.Option("--explain", help="Print a plain sentence for each decision instead of the records.")
STRICT = typer.Option(help="Exit with 1 if any line came out as a dead letter.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)


def simulate(
    file: Annotated[str, FILE] = "-",
    policy: Annotated[Path | None, POLICY] = None,
    only: Annotated[str | None, ONLY] = None,
    mark: Annotated[bool, MARK] = False,
    strict: Annotated[bool, STRICT] = False,
    explain: Annotated[bool, EXPLAIN] = False,
) -> None:
    """Run all agents in process on JSON lines {"topic", "value", "key"?, "headers"?}; print what they derive.

    Exit codes: 0 done, 1 with --strict if a line was bad, 2 if the file or the policy cannot be used.
    """
    if mark and explain:
        fail("--mark with --explain; expected one of them: marks go between records")
    wanted = _wanted(only)
    settings = Settings()
    try:
        rules = load_policy(policy or settings.policy, os.environ, load_prompt_keys(settings))
    except (PolicyFileError, KeyFileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    simulation = Simulation(
        AGENTS,
        rules,
        version=code_version(settings.build),
        sizes=settings.sizes,
        partitions=settings.partitions,
    )
    try:
        with _open(file) as lines:
            bad = _run(simulation, lines, wanted, mark, explain)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has left: nothing more to say, and nothing to complain about.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        typer.echo(f"{file}: cannot be read: {error.strerror}; expected a file of JSON lines, or -", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(1 if strict and bad else 0)


def _wanted(only: str | None) -> set[str] | None:
    if only is None:
        return None
    wanted = {name.strip() for name in only.split(",") if name.strip()}
    unknown = sorted(name for name in wanted if source_of(name) not in CATALOGUE)
    if unknown:
        typer.echo(f"--only: unknown topic {', '.join(unknown)}; expected names of {', '.join(CATALOGUE)}", err=True)
        raise typer.Exit(2)
    return wanted


def _open(file: str) -> BinaryIO:
    return sys.stdin.buffer if file == "-" else Path(file).open("rb")


def _shown(derived: Derived, explain: bool) -> bytes:
    """The record as a line; empty where a sentence is asked for and it is no decision."""
    if not explain:
        return derived.line() + b"\n"
    topic, _, value, headers = derived
    text = sentence(topic, orjson.loads(value) if isinstance(value, bytes) and not derived.dead else None, headers)
    return b"" if text is None else text.encode() + b"\n"


def _run(simulation: Simulation, lines: BinaryIO, wanted: set[str] | None, mark: bool, explain: bool) -> int:
    """Feed line by line, flushing after each, so that a driver may answer. Returns how many lines were bad."""
    out, bad = sys.stdout.buffer, 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text:
            dead = False
            for derived in simulation.feed(text):
                dead = dead or derived.dead
                if wanted is None or derived[0] in wanted:
                    out.write(_shown(derived, explain))
            bad += dead
        if mark:
            out.write(orjson.dumps({"mark": number}) + b"\n")
        out.flush()
    return bad
