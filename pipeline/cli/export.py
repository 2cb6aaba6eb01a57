"""`endocrine export TOPIC|TABLE`: any topic or table as Parquet, CSV or JSON lines."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from endocrine.pipeline.cli.common import Bootstrap, Since, Until, bar, fail, on_broker, settings_of, time_of, whose

Topic = Annotated[
    str, typer.Argument(metavar="TOPIC", help="A topic of the catalogue or its dead letters (TOPIC.dlq); no prefix.")
]
Format = Annotated[
    Literal["parquet", "csv", "jsonl", "simulate"] | None,
    typer.Option(
        "--format",
        help="parquet (needs the extra `endocrine[export]`), csv, jsonl, or lines that `endocrine simulate` reads; else"
        " by FILE's name.",
    ),
]
Output = Annotated[Path, typer.Option(metavar="FILE", help="The file to write; whole or not at all.")]
Table = Annotated[
    bool | None,
    typer.Option("--table/--history", help="The last record of each key, or every one; a compacted topic is a table."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    topic: Topic,
    output: Output,
    form: Format = None,
    since: Since = None,
    until: Until = None,
    identity: Annotated[str | None, typer.Option(help="Records about this identity alone.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="This partition alone.")] = None,
    table: Table = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Write a topic, or the table it keeps, to a file: place, append time, key, id, the value's fields, headers.

    Everything that the topics hold now; nothing is redacted. Exit codes: 0 written, 2 could not be done.
    """
    from endocrine.pipeline.core.catalogue import CATALOGUE
    from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of
    from endocrine.pipeline.data.export.columns import known
    from endocrine.pipeline.data.export.run import Choice
    from endocrine.pipeline.data.export.run import export as exported
    from endocrine.pipeline.data.export.writers import ExportError

    settings = settings_of(bootstrap, reads=True)
    name = topic.removeprefix(settings.prefix)
    if not known(name):
        owned = "those that an agent reads have TOPIC.dlq too"
        fail(f"there is no topic {topic!r}; expected one of {', '.join(CATALOGUE)}; {owned}")
    entry = CATALOGUE[source_of(name)]
    if identity is not None and not entry.key.startswith("identity"):
        fail(f"{name} is not about identities (its key is {entry.key}); leave --identity out")
    latest = table if table is not None else entry.cleanup == "compact" and not holds_dead_letters(name)
    after, before = time_of("--since", since), time_of("--until", until)
    if form is None:
        suffix = output.suffix.removeprefix(".")
        if suffix not in ("parquet", "csv", "jsonl"):
            fail(f"{output}: its name tells no format; expected --format parquet, csv or jsonl")
        form = suffix  # type: ignore[assignment]
    choice = Choice(name, latest, after, before, whose(settings, identity), partition)
    try:
        with bar(f"{name}") as progress:
            work = exported(settings, choice, str(form), output, force=force, progress=progress)
            count = on_broker(settings, work)
    except ExportError as error:
        fail(str(error))
    print(f"{count} {'keys' if latest else 'records'} of {name} in {output}")
