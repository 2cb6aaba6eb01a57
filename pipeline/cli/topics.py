"""`endocrine topics list|describe|create`: what the catalogue declares, and what the broker holds."""

import asyncio
import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline.admin import TopicsError, TopicState, describe_topics, ensure_topics
from pipeline.local import stack
from pipeline.settings import Settings
from pipeline.topics import CATALOGUE, DAY_MS, PhysicalTopic, physical_topics

Json = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
Bootstrap = Annotated[
    str | None,
    typer.Option(help="host:port; by default ENDOCRINE_BOOTSTRAP, else the local stack of this folder if it runs."),
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="The topics: what is declared, and what the broker holds.")
    group.command("list")(list_topics)
    group.command("describe")(describe)
    group.command("create")(create)
    app.add_typer(group, name="topics")


def list_topics(as_json: Json = False) -> None:
    """Every topic that must exist, as declared. Needs no broker."""
    rows = [_declared(topic) for topic in physical_topics(Settings(), _agent_names())]
    _show(rows, ["name", "key", "partitions", "cleanup", "retention", "owner", "summary"], as_json)


def describe(
    name: Annotated[str | None, typer.Argument(help="One topic, with or without prefix; by default all.")] = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """What the broker holds: partitions, offsets, and what is not as declared. Exit code 1: something is not."""
    settings = _settings(bootstrap)
    names = [topic.name for topic in physical_topics(settings, _agent_names())]
    if name is not None and name not in names and settings.prefix + name not in names:
        _fail(f"there is no topic {name!r}. `endocrine topics list` shows those there are.", 2)
    try:
        states = asyncio.run(describe_topics(settings, _agent_names()))
    except TopicsError as error:
        _fail(str(error), 1)
    states = [state for state in states if name is None or state.topic.name in (name, settings.prefix + name)]
    rows = [_found(state, detail=name is not None or as_json) for state in states]
    _show(rows, ["name", "partitions", "records", "cleanup", "state", "offsets", "configs"], as_json)
    if any(state.problem for state in states):
        raise typer.Exit(1)


def create(as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Create what is missing and mend configs; a wrong partition count is an error. Safe to repeat."""
    settings = _settings(bootstrap)
    try:
        report = asyncio.run(ensure_topics(settings, _agent_names()))
    except TopicsError as error:
        _fail(str(error), 1)
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if as_json:
        print(json.dumps({"created": report.created, "existing": report.existing, "warnings": report.warnings}))
        return
    for topic in report.created:
        print(f"created {topic}")
    print(f"{len(report.created)} created, {len(report.existing)} there already, at {settings.bootstrap}")


def _agent_names() -> list[str]:
    from agents.roster import AGENTS  # all agents and their rules: only when a command runs

    return [agent.name for agent in AGENTS]


def _settings(bootstrap: str | None) -> Settings:
    settings = Settings()
    if bootstrap is None and "bootstrap" not in settings.model_fields_set:
        found = stack.running(settings.data_dir)
        bootstrap = found.bootstrap if found else None
    return settings.model_copy(update={"bootstrap": bootstrap}) if bootstrap else settings


def _declared(topic: PhysicalTopic) -> dict[str, Any]:
    name = topic.name.removeprefix(Settings().prefix)
    entry = CATALOGUE.get(name.removesuffix(".dlq"))
    dead = name.endswith(".dlq")
    retention = topic.configs.get("retention.ms")
    return {
        "name": topic.name,
        "key": "as received" if dead else entry.key if entry else "state key",
        "partitions": topic.partitions,
        "cleanup": topic.configs["cleanup.policy"],
        "retention": f"{int(retention) // DAY_MS} days" if retention else "",
        "owner": (entry.owner or "") if entry else name.removeprefix("changelog."),
        "summary": topic.summary,
    }


def _found(state: TopicState, *, detail: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": state.topic.name,
        "partitions": state.partitions,
        "records": sum(last - first for first, last in state.offsets),
        "cleanup": state.topic.configs["cleanup.policy"],
        "state": state.problem or "ok",
    }
    if detail:
        row["offsets"] = state.offsets
        row["configs"] = {name: state.differing.get(name, value) for name, value in state.topic.configs.items()}
    return row


def _show(rows: list[dict[str, Any]], columns: list[str], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    columns = [column for column in columns if any(column in row for row in rows)]
    cells = [["" if row.get(column) is None else str(row[column]) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in [columns, *cells]:
            print("\t".join(line))
        return
    table = Table(*columns, box=None, header_style="bold")
    for line in cells:
        table.add_row(*line)
    Console().print(table)


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(code)
