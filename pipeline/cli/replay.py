"""`endocrine replay verify`: prove every derived record from the topics alone."""

import asyncio
import sys
from typing import Annotated

import orjson
import typer
from aiokafka.errors import KafkaError

from agents.policy.compiled import Policy, compile_policy
from agents.roster import AGENTS
from pipeline.logs import set_up_logs
from pipeline.replay.logs import read_logs, read_policies
from pipeline.replay.verify import Report, Verifier, verified_topics
from pipeline.settings import Settings

SHOWN = 20
BOOTSTRAP = typer.Option(help="Kafka to read, host:port; else ENDOCRINE_BOOTSTRAP.")
JSON = typer.Option("--json", help="Print the report as one JSON object.")
replay = typer.Typer(no_args_is_help=True, help="Prove decisions again from the topics alone.")


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(replay, name="replay")


@replay.callback()
def _group() -> None:
    """Prove decisions again from the topics alone."""


@replay.command("verify")
def verify(bootstrap: Annotated[str | None, BOOTSTRAP] = None, as_json: Annotated[bool, JSON] = False) -> None:
    """Re-run all agents over what stands on the topics, in journal order, and compare every derived record.

    Reads only; from the beginning of what is retained; holds the topics in memory. Stop the workers first, or the
    newest records count as missing. Exit codes: 0 proved, 1 something was found, 2 the broker cannot be read.
    """
    set_up_logs("ERROR")
    settings = Settings() if bootstrap is None else Settings(bootstrap=bootstrap)
    try:
        report = asyncio.run(verified(settings))
    except KafkaError as error:
        typer.echo(f"{settings.bootstrap}: cannot be read: {error}; is a broker running there?", err=True)
        raise typer.Exit(2) from None
    _print(report, as_json)
    raise typer.Exit(0 if report.proved else 1)


async def verified(settings: Settings) -> Report:
    """The report on what stands on the topics of these settings."""
    compiled: dict[str, Policy] = {}
    documents = await read_policies(settings)

    def policy_of(digest: str) -> Policy:
        if digest not in compiled:
            compiled[digest] = compile_policy(documents[digest])
        return compiled[digest]

    logs = await read_logs(settings, verified_topics())
    return Verifier(logs, policy_of, partitions=settings.partitions, max_record_bytes=settings.max_record_bytes).run(
        AGENTS
    )


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        told = {
            "proved": report.proved,
            "batches": report.batches,
            "compared": report.compared,
            "equal": report.equal,
            "findings": {kind: found for kind, found in report.findings.items() if found},
        }
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        return
    typer.echo(f"{report.batches} batches, {report.compared} derived records compared, {report.equal} equal")
    for kind, found in report.findings.items():
        typer.echo(f"{kind}: {len(found)}")
        for finding in found[:SHOWN]:
            typer.echo(f"  {finding}")
        if len(found) > SHOWN:
            typer.echo(f"  and {len(found) - SHOWN} more")
    typer.echo("proved: every derived record follows from its inputs" if report.proved else "NOT proved")
