"""`endocrine lag`: how many records each agent has still to read, per partition."""

import orjson
import typer

from endocrine.pipeline.cli.common import Bootstrap, Json, on_broker, settings_of
from endocrine.pipeline.cli.tables import print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lag")(lag)


def lag(as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Show how many records each agent has still to read, per partition, by the journal and the group's commits.

    Exit codes: 0 shown, 2 the broker cannot be read.
    """
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.views.status.lag import read_lag

    settings = settings_of(bootstrap, reads=True)
    rows = on_broker(settings, read_lag(settings, AGENTS))
    if as_json:
        for row in rows:
            typer.echo(orjson.dumps(row._asdict()).decode())
        return
    partitions = sorted({row.partition for row in rows})
    table = []
    for agent in dict.fromkeys(row.agent for row in rows):
        own = {row.partition: row for row in rows if row.agent == agent}
        topics: dict[str, int] = {}
        for row in own.values():
            for topic, count in row.topics.items():
                topics[topic] = topics.get(topic, 0) + count
        behind = ", ".join(f"{topic} {count}" for topic, count in topics.items())
        table.append([agent, sum(row.lag for row in own.values()), *(own[n].lag for n in partitions), behind])
    print_table(["agent", "lag", *(f"partition {n}" for n in partitions), "of topics"], table, whole=("agent",))
