"""`endocrine topics list|describe|create`: what the catalogue declares, and what the broker holds."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError

from endocrine.pipeline.cli.common import CANNOT, Bootstrap, broker_error, fail, settings_of
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.tables import print_table
from endocrine.pipeline.core.catalogue import CATALOGUE, DAY_MS
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of
from endocrine.pipeline.kafka.admin import BrokerAway, TopicsError, TopicState, describe_topics, ensure_topics
from endocrine.pipeline.kafka.topic_layout import PhysicalTopic, physical_topics
from endocrine.pipeline.process.logs import set_up_logs
from endocrine.pipeline.process.settings import Settings

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
DESCRIBE_TIMEOUT_S = 4.0
"""Seconds until a broker that does not answer is given up, where a person waits for a list."""


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("The topics: what is declared, and what the broker holds.")
    group.command("list")(list_topics)
    group.command("describe")(describe)
    group.command("create")(create)
    app.add_typer(group, name="topics")


def list_topics(as_json: Json = False) -> None:
    """List every topic that must exist, as declared. Needs no broker."""
    rows = [_declared(topic) for topic in physical_topics(Settings(), _agent_names())]
    _show(rows, ["name", "key", "partitions", "cleanup", "retention", "owner", "summary"], as_json)


def describe(
    name: Annotated[str | None, typer.Argument(help="One topic, with or without prefix; by default all.")] = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show what the broker holds: partitions, offsets, and what is not as declared.

    Exit codes: 0 all as declared, 1 something is not, 2 the broker does not answer.
    """
    settings = settings_of(bootstrap, reads=True)
    names = [topic.name for topic in physical_topics(settings, _agent_names())]
    if name is not None and name not in names and settings.prefix + name not in names:
        fail(f"there is no topic {name!r}. `endocrine topics list` shows those there are.")
    states = _on_broker(settings, describe_topics(settings, _agent_names(), timeout_s=DESCRIBE_TIMEOUT_S))
    states = [state for state in states if name is None or state.topic.name in (name, settings.prefix + name)]
    rows = [_found(state, detail=name is not None or as_json) for state in states]
    _show(rows, ["name", "partitions", "records", "cleanup", "state", "offsets", "configs"], as_json)
    if any(state.problem for state in states):
        raise typer.Exit(1)


def create(as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Create what is missing and correct configs; a wrong partition count is an error. Safe to repeat.

    Exit codes: 0 done, 1 the topics cannot be made as declared, 2 the broker does not answer.
    """
    settings = settings_of(bootstrap)
    report = _on_broker(settings, ensure_topics(settings, _agent_names()))
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if as_json:
        print(json.dumps({"created": report.created, "existing": report.existing, "warnings": report.warnings}))
        return
    for topic in report.created:
        print(f"created {topic}")
    print(f"{len(report.created)} created, {len(report.existing)} there already, at {settings.bootstrap}")


def _agent_names() -> list[str]:
    from endocrine.agents.registry import AGENTS  # all agents and their rules: only when a command runs

    return [agent.name for agent in AGENTS]


def _on_broker(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run it. Topics that are not as they must be end the command with exit code 1, a broker that is away with 2."""
    set_up_logs("ERROR")
    try:
        return asyncio.run(work)
    except TopicsError as error:
        fail(str(error), CANNOT if isinstance(error, BrokerAway) else 1)
    except (KafkaError, OSError) as error:
        fail(broker_error(settings, error))


def _declared(topic: PhysicalTopic) -> dict[str, Any]:
    name = topic.name.removeprefix(Settings().prefix)
    entry = CATALOGUE.get(source_of(name))
    dead = holds_dead_letters(name)
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
    print_table(columns, [[row.get(column) for column in columns] for row in rows])
