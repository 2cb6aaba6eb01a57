"""`endocrine memory migrate ...`: memories of an older store, in phases; each command can be repeated.

1. `write`: the application's writes to the older store come here too (dual write).
2. `backfill`: an export of it, with a checkpoint.
3. `shadow`: both are read and compared; a drift report.
4. `cut-over`: refused while they drift; from then on `write` and `backfill` are refused.
5. `roll-back`: what changed here since then, as lines for the older store; the phase is dual write again.
"""

import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    By,
    Json,
    fail,
    from_views,
    on_broker,
    operator,
    print_json,
    registered_names,
    settings_of,
)
from endocrine.pipeline.cli.group import command_group

if TYPE_CHECKING:
    from endocrine.pipeline.process.settings import Settings

Store = Annotated[str, typer.Option(metavar="NAME", help="Name of the older store.")]
Export = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Its export, JSON lines.")]
BATCH = 500
"""Records between two checkpoints."""


def register(group: typer.Typer) -> None:
    """Add the group to that of memory."""
    migrate = command_group("Take memories of an older store over, in phases that can be repeated.")
    for name, run in (
        ("write", write), ("backfill", backfill), ("shadow", shadow), ("cut-over", cut_over), ("roll-back", roll_back)
    ):  # fmt: skip
        migrate.command(name)(run)
    group.add_typer(migrate, name="migrate")


def write(store: Store, by: By = None, bootstrap: Bootstrap = None) -> None:
    """Send the lines of standard input as they come: the application's writes to the older store (dual write).

    A lower version never overwrites, so lines may come twice and in any order. Exit codes: 0 all sent, 1 refused (cut
    over), 2 a line is not a memory, or the broker is away.
    """
    settings = settings_of(bootstrap)
    _refuse_after_cut(settings, store)
    sent, resolve = 0, _resolver(settings)
    for line in sys.stdin.buffer:
        if line.strip():
            _send(settings, [_command(settings, line, store, by, sent + 1, resolve)])
            sent += 1
    print(f"{sent} sent")


def backfill(export: Export, store: Store, by: By = None, bootstrap: Bootstrap = None) -> None:
    """Send an export of the older store, from the last checkpoint on.

    The checkpoint is of the file's content so far: another export begins anew. Exit codes: 0 all sent, 1 refused (cut
    over), 2 a line is not a memory, or the broker is away.
    """
    settings = settings_of(bootstrap)
    _refuse_after_cut(settings, store)
    state, digest, number = _state(settings, store), hashlib.sha256(), 0
    resolve = _resolver(settings)
    done, waiting = state.get("backfill", {"lines": 0, "digest": ""}), list[dict[str, Any]]()
    if done["digest"] != _digest(export, done["lines"]):
        done = {"lines": 0, "digest": ""}
    for number, line in enumerate(_lines(export), 1):
        digest.update(line)
        if number > done["lines"] and line.strip():
            waiting.append(_command(settings, line, store, by, number, resolve))
        if len(waiting) == BATCH:
            _send(settings, waiting)
            waiting = []
            _keep(settings, store, state | {"backfill": {"lines": number, "digest": digest.hexdigest()}})
    _send(settings, waiting)
    _keep(settings, store, state | {"backfill": {"lines": number, "digest": digest.hexdigest()}})
    print(f"{max(0, number - done['lines'])} lines sent, {min(done['lines'], number)} before")


def shadow(export: Export, store: Store, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Compare an export with the read models: a drift report, without any content.

    Exit codes: 0 no drift, 1 drift, 2 a line is not a memory, or the read models are away.
    """
    settings = settings_of(bootstrap)
    report = _drift(settings, export, store)
    _keep(settings, store, _state(settings, store) | {"drifted": report["drifted"]})
    if as_json:
        print_json(report)
    else:
        for one in report["items"]:
            print(f"{one['kind']:10} {one['memory_id']} ({one['origin']}) {', '.join(one['fields'])}")
        print(f"{report['compared']} compared, {report['drifted']} drifted")
    if report["drifted"]:
        raise typer.Exit(BROKEN)


def cut_over(export: Export, store: Store, bootstrap: Bootstrap = None) -> None:
    """Make this store the one that counts: `write` and `backfill` are refused from then on.

    Exit codes: 0 done (also where it was before), 1 refused as they drift, 2 a line is not a memory, or the read models
    are away.
    """
    settings = settings_of(bootstrap)
    state = _state(settings, store)
    if state.get("phase") == "cut_over":
        print("cut over before")
        return
    report = _drift(settings, export, store)
    if report["drifted"]:
        fail(
            f"refused: {report['drifted']} of {report['compared']} memories drift (`migrate shadow` lists them)", BROKEN
        )
    _keep(settings, store, state | {"phase": "cut_over", "drifted": 0})
    print(f"cut over: {report['compared']} memories are the same")


def roll_back(export: Export, store: Store, bootstrap: Bootstrap = None) -> None:
    """Print what is later here than in the export, as lines for the older store; the phase is dual write again.

    Exit codes: 0 done, 2 a line is not a memory, or the read models are away.
    """
    from endocrine.pipeline.data.migration import line_back

    settings = settings_of(bootstrap)
    count = 0
    for command, here in _pairs(settings, export, store):
        if here is not None and here["version"] > command["version"]:
            print_json(line_back(here, command["origin"]))
            count += 1
    _keep(settings, store, _state(settings, store) | {"phase": "dual", "backfill": {"lines": 0, "digest": ""}})
    print(f"{count} memories are later here", file=sys.stderr)


def _resolver(settings: "Settings") -> Callable[[str], str]:
    """What makes the registered subject of a name."""
    from endocrine.pipeline.core.partitioning import subject_of

    table = on_broker(settings, registered_names(settings))
    return lambda subject: table.subject(subject_of(subject))


def _command(
    settings: "Settings", line: bytes, store: str, by: str | None, number: int, resolve: Callable[[str], str]
) -> dict[str, Any]:
    from endocrine.pipeline.data.migration import BadLine, command_of

    try:
        return command_of(line, store, operator(by), time.time(), settings.max_record_bytes, resolve)
    except BadLine as bad:
        fail(f"line {number}: {bad}")


def _send(settings: "Settings", commands: list[dict[str, Any]]) -> None:
    from endocrine.pipeline.data.commands import SOURCE
    from endocrine.pipeline.data.ingest.produce import ProduceError, produce

    lines = [{"topic": "commands", "value": one, "headers": {"ce_source": SOURCE}} for one in commands]
    if not lines:
        return
    try:
        on_broker(settings, produce(lines, settings))
    except ProduceError as error:
        fail(str(error))


def _pairs(settings: "Settings", export: Path, store: str) -> Iterable[tuple[dict[str, Any], dict[str, Any] | None]]:
    """The import of each line, and the memory here; None: there is none."""
    from endocrine.pipeline.views.redis import views

    resolve = _resolver(settings)
    wanted = [
        _command(settings, line, store, None, number, resolve)
        for number, line in enumerate(_lines(export), 1)
        if line.strip()
    ]

    async def read(client: Any) -> list[dict[str, Any] | None]:
        return [await views.memory(client, one["identity"], one["memory_id"]) for one in wanted]

    return zip(wanted, from_views(read, settings), strict=True)


def _drift(settings: "Settings", export: Path, store: str) -> dict[str, Any]:
    from endocrine.pipeline.data.migration import drift_of, report_of

    pairs = list(_pairs(settings, export, store))
    return report_of((one for pair in pairs if (one := drift_of(*pair)) is not None), len(pairs))


def _lines(export: Path) -> Iterator[bytes]:
    with export.open("rb") as file:
        yield from file


def _digest(export: Path, lines: int) -> str:
    """Of the first so many lines; empty for none."""
    found = hashlib.sha256()
    for number, line in enumerate(_lines(export), 1):
        if number > lines:
            break
        found.update(line)
    return found.hexdigest() if lines else ""


def _refuse_after_cut(settings: "Settings", store: str) -> None:
    if _state(settings, store).get("phase") == "cut_over":
        fail(f"refused: {store} was cut over; `migrate roll-back` first", BROKEN)


def _file(settings: "Settings", store: str) -> Path:
    named = hashlib.sha256(f"{settings.prefix}/{store}".encode()).hexdigest()[:16]
    return Path(settings.data_dir) / "migration" / f"{named}.json"


def _state(settings: "Settings", store: str) -> dict[str, Any]:
    file = _file(settings, store)
    return orjson.loads(file.read_bytes()) if file.exists() else {"store": store, "phase": "dual"}


def _keep(settings: "Settings", store: str, state: dict[str, Any]) -> None:
    file = _file(settings, store)
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_suffix(".new")
    made.write_bytes(orjson.dumps(state))
    made.replace(file)
