"""`endocrine erase ID`: end what is kept of a subject, and say what still names it, where, and until when."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.collected import user_errors
from endocrine.pipeline.cli.common import (
    BROKEN,
    UNCONFIRMED,
    Bootstrap,
    By,
    Json,
    bars,
    fail,
    on_broker,
    operator,
    print_json,
    registered_names,
    settings_of,
)
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.pipeline.core.name_table import NameTable
    from endocrine.pipeline.process.settings import Settings

MOST_MEMORIES = 4096
"""Digests of memories in a receipt: a record of a topic takes a megabyte."""
WAIT_S = 30.0
"""Seconds to wait for workers to catch up, for their answers, and for the projection."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("erase")(erase)


def erase(
    subject: Annotated[
        str, typer.Argument(metavar="ID", help="An identity, by any of its names, or `project:` and a project's id.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Erase. Without it: dry run.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Folder to write the receipt to, as JSON.")
    ] = None,
    backups: Annotated[
        Path, typer.Option("--backups", metavar="DIR", help="Folder of the backups, to name those that hold it.")
    ] = Path(".endocrine/backups"),
    wait_s: Annotated[
        float, typer.Option("--wait", min=0.1, help="Seconds to wait for workers, for their answers and for Redis.")
    ] = WAIT_S,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """End what is kept of a subject, in every agent, compacted topic and read model, and write a receipt.

    What lies on retained topics goes by retention: the receipt dates it. Workers must run. It can be run again at any
    time: after a failure it goes on, and later it shows what is left.

    Exit codes: 0 done, 1 refused (`$` names), 2 invalid arguments, or broker or Redis cannot be used, 3 incomplete:
    run it again.
    """
    from endocrine.pipeline.core.name_table import NameFault
    from endocrine.pipeline.core.partitioning import subject_of
    from endocrine.pipeline.data.erasure.apply import Incomplete
    from endocrine.pipeline.data.ingest.produce import ProduceError
    from endocrine.pipeline.data.live_states import NotCaughtUp

    if subject.strip().startswith("$"):
        fail("a name that begins with $ is our own, and nobody's; expected an identity or project:ID", BROKEN)
    settings = settings_of(bootstrap)
    table = on_broker(settings, registered_names(settings))
    try:
        named = table.subject(subject_of(subject))
    except (NameFault, ValueError) as fault:
        fail(f"ID: {fault}")
    _require_redis(settings)
    _require_keys(settings)
    try:
        with user_errors(settings):
            receipt = _run(settings, _erase(settings, table, named, yes, backups, wait_s, operator(by)))
    except (Incomplete, NotCaughtUp) as incomplete:
        fail(f"incomplete: {incomplete}; run it again", UNCONFIRMED)
    except ProduceError as error:
        fail(str(error))
    if report is not None and yes:
        _written(report, receipt)
    if as_json:
        print_json(receipt)
    else:
        _show(receipt)


async def _erase(
    settings: "Settings", table: "NameTable", subject: str, yes: bool, backups: Path, wait_s: float, by: str
) -> dict[str, Any]:
    from endocrine.pipeline.data.backup.erased import name_digest
    from endocrine.pipeline.data.erasure.apply import apply, planned
    from endocrine.pipeline.data.erasure.keys import destroy_keys
    from endocrine.pipeline.data.erasure.receipt import (
        backups_holding,
        erased_from_views,
        traces_on_topics,
    )
    from endocrine.pipeline.data.ops_events import put_on_record

    with bars() as titled:
        plan = await planned(settings, table, subject, titled("changelogs"))
        receipt: dict[str, Any] = {
            "erasure_id": plan.erasure_id,
            "names": [name_digest(name) for name in plan.names],
            "dry_run": not yes,
            "at": time.time(),
            "states": plan.counts(),
            "outcomes": {},
            "views": None,
        }
        if yes:
            done = await apply(settings, plan, table, by=by, within_s=wait_s, progress=titled("changelogs"))
            plan = done.plan
            receipt["states"], receipt["outcomes"] = dict(sorted(done.states.items())), dict(done.outcomes)
            receipt["views"] = await erased_from_views(settings, plan, wait_s)
        receipt["topics"], memory_ids = await traces_on_topics(settings, plan, titled("topics"))
        if yes and (content := await destroy_keys(settings, plan.names, memory_ids)) is not None:
            receipt["content"] = content
        receipt["memories"] = [name_digest(one) for one in sorted(memory_ids)[:MOST_MEMORIES]]
        receipt["backups"] = backups_holding(backups, time.time())
        if yes:
            # The receipt names nobody: the erasure's id is a digest, and keys are counted.
            await put_on_record(settings, "erasure", "done", receipt, by=by)
    return receipt


def _require_redis(settings: "Settings") -> None:
    """Fail before anything is erased where the read models cannot be reached: half an erasure would look like one."""
    from endocrine.pipeline.cli.common import from_views

    if settings.redis_url is not None:
        from_views(lambda client: client.ping(), settings)


def _require_keys(settings: "Settings") -> None:
    """Fail likewise where keys of content could not be destroyed: nobody believes a record of it without our seal."""
    from endocrine.pipeline.process.content_key_file import wrapping_keys
    from endocrine.pipeline.process.seal_keys import KeyFileError, load_seals

    try:
        if wrapping_keys(settings):
            load_seals(settings)
    except KeyFileError as error:
        fail(str(error))


def _run(settings: "Settings", work: Any) -> Any:
    import asyncio

    from redis.exceptions import RedisError

    from endocrine.pipeline.kafka.topic_reader import NoSuchTopic
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.views.redis.store import redis_error

    set_up_logs("ERROR")
    try:
        return asyncio.run(work)
    except RedisError as error:
        fail(redis_error(settings, error))
    except NoSuchTopic as error:
        fail(str(error))


def _written(folder: Path, receipt: dict[str, Any]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(receipt["at"]))
        path = folder / f"erasure-{receipt['erasure_id'][:12]}-{stamp}.json"
        path.write_bytes(orjson.dumps(receipt, option=orjson.OPT_INDENT_2))
    except OSError as error:
        typer.echo(f"--report {folder}: {error.strerror}; the receipt is on ops-events, and not in a file", err=True)


def _show(receipt: dict[str, Any]) -> None:
    states = sum(receipt["states"].values())
    if receipt["dry_run"]:
        typer.echo(f"{states} states would be erased or reduced (--yes): {_listed(receipt['states'])}")
    else:
        typer.echo(f"{states} states erased or reduced: {_listed(receipt['states'])}")
        if receipt["views"] is None:
            typer.echo("no Redis is set: no read models were erased")
        else:
            typer.echo(f"read models: {_listed(receipt['views'])}")
    if content := receipt.get("content"):
        typer.echo(f"{content['keys']} keys of content destroyed: what they encrypted is unreadable from now on")
    if receipt["topics"]:
        typer.echo("topics that name the subject still:" if not receipt["dry_run"] else "topics that name the subject:")
        rows = [
            (topic, str(one["records"]), one["goes_by"], "unknown" if one["until"] is None else _day(one["until"]))
            for topic, one in receipt["topics"].items()
        ]
        print_table(("topic", "records", "goes by", "at the latest"), rows, whole=("topic",))
    clear = {topic: one["until"] for topic, one in receipt["topics"].items() if one.get("in_clear")}
    if clear:
        dates = ", ".join(f"{topic} ({'unknown' if at is None else _day(at)})" for topic, at in clear.items())
        typer.echo(f"content in clear, of other producers or from before it was encrypted, is there until: {dates}")
    if receipt["backups"]:
        typer.echo(f"in {len(receipt['backups'])} backups until they are pruned: {', '.join(receipt['backups'])}")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counts.items()) or "none"


def _day(ts: float) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%MZ")
