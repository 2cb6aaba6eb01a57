"""`endocrine replay verify|what-if`: prove every derived record from the topics alone; ask what would have been."""

import asyncio
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from pipeline.cli.gather import bar, milliseconds, scratch, told_errors
from pipeline.cli.shared import fail, settings_of
from pipeline.engine.seals import KeyedSeals
from pipeline.replay.logs import log_ends, read_history
from pipeline.replay.recorded_seals import RecordedSeals
from pipeline.replay.report import Report, Scope
from pipeline.replay.resume import Resume
from pipeline.replay.state_files import Snapshots
from pipeline.seal_keys import FILE, SealKeyError, load_seals
from pipeline.settings import Settings
from pipeline.times import EXPECTED

SHOWN = 20
SETTLED_S = 60.0
"""Seconds after which an input must have been read, and an output's batch be in the journal. What is younger may belong
to batches that workers are making. By our clock, against the broker's append times."""
Bootstrap = Annotated[
    str | None,
    typer.Option(help="host:port; by default ENDOCRINE_BOOTSTRAP, else the local stack of this folder if it runs."),
]
Since = Annotated[str | None, typer.Option("--from", help=f"Batches journaled from then on. {EXPECTED}.")]
Until = Annotated[str | None, typer.Option("--to", help="Batches journaled up to then.")]
Identity = Annotated[str | None, typer.Option(help="Only records of this identity.")]
Only = Annotated[list[str] | None, typer.Option("--topic", help="Only records of this topic; may be repeated.")]
SnapshotDir = Annotated[
    Path | None, typer.Option("--snapshot", help="A snapshot, or a folder of snapshots, to begin from.")
]
Fresh = Annotated[
    str | None, typer.Option("--to-topics", help="Write what is made again to new topics with this prefix.")
]
ResumeFile = Annotated[
    Path | None, typer.Option("--resume", help="Note here how far this came, and go on from what is noted.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")]
Rules = Annotated[Path, typer.Option("--policy", help="Policy file, laid over the shipped policy.")]
Form = Annotated[str, typer.Option("--format", help="json, csv or html.")]
Output = Annotated[Path | None, typer.Option(help="File to write instead of standard output.")]
replay = typer.Typer(
    no_args_is_help=True, help="Prove decisions again from the topics alone; ask what would have been."
)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(replay, name="replay")


@replay.callback()
def _group() -> None:
    """Prove decisions again from the topics alone; ask what would have been."""


@replay.command("verify")
def verify(
    since: Since = None,
    until: Until = None,
    identity: Identity = None,
    topic: Only = None,
    snapshot: SnapshotDir = None,
    to_topics: Fresh = None,
    resume: ResumeFile = None,
    bootstrap: Bootstrap = None,
    as_json: Json = False,
) -> None:
    """Re-run all agents over what stands on the topics, in journal order, and compare every derived record.

    Reads only. Times are the broker's append times. Without --to, stop the workers first, or the newest records count
    as missing. Exit codes: 0 proved, 1 something was found or cannot be verified, 2 it cannot be read or was asked
    wrongly.
    """
    from pipeline.logs import set_up_logs
    from pipeline.memory import keep_memory

    set_up_logs("ERROR")
    keep_memory()
    settings = settings_of(bootstrap)
    scope = _scope(since, until, identity, topic)
    if to_topics is not None and resume is not None:
        fail("--to-topics with --resume: what was made before the stop would be missing; give one of them")
    with told_errors(settings):
        report = asyncio.run(
            verified(settings, scope, snapshot=snapshot, to_topics=to_topics, resume=resume, asked=(since, until))
        )
    _print(report, as_json)
    raise typer.Exit(0 if report.proved else 1)


def _scope(since: str | None, until: str | None, identity: str | None, topics: list[str] | None) -> Scope:
    from pipeline.replay.verify import verified_topics

    known = verified_topics()
    if unknown := sorted(set(topics or ()) - set(known)):
        fail(f"--topic {unknown[0]}: there is no such topic; expected one of {', '.join(known)}")
    begin, end = milliseconds("--from", since), milliseconds("--to", until)
    if begin is not None and end is not None and begin > end:
        fail(f"--from {since} is later than --to {until}")
    return Scope(begin, end, identity, frozenset(topics) if topics else None)


async def verified(
    settings: Settings,
    scope: Scope = Scope(),  # noqa: B008 - frozen
    *,
    snapshot: Path | None = None,
    to_topics: str | None = None,
    resume: Path | None = None,
    asked: Any = None,
) -> Report:
    """The report on what stands on the topics of these settings.

    asked: how the command was asked, beside the scope: a resumed one must be asked alike.
    """
    from agents.roster import AGENTS
    from pipeline.replay import fresh
    from pipeline.replay.policies import PolicyShelf
    from pipeline.replay.verify import Verifier, verified_topics
    from pipeline.version import code_version

    keys = _keys(settings)
    house = {"prefix": settings.prefix, "partitions": settings.partitions}
    snapshots = Snapshots(snapshot, house)
    note = None
    if resume is not None:
        told = [asked, scope.identity, sorted(scope.topics or ()), None if snapshot is None else str(snapshot)]
        words = [*told, [agent.name for agent in AGENTS], code_version(settings.build), settings.bootstrap]
        note = Resume(resume, {**house, "asked": orjson.dumps(words).decode()})
    target = None if to_topics is None else await fresh.prepare(settings, to_topics)
    with ExitStack() as stack:
        folder, titled = stack.enter_context(scratch()), stack.enter_context(bar())
        if note is not None and note.kept is not None:
            live_ms, ends = note.kept["live_ms"], {(name, place): end for name, place, end in note.kept["ends"]}
        else:
            live_ms = round((time.time() - SETTLED_S) * 1000)
            ends = await log_ends(settings, verified_topics())
        if note is not None:
            note.kept = {"live_ms": live_ms, "ends": [[*place, end] for place, end in ends.items()]}
        seals = RecordedSeals(keys)
        logs = await read_history(
            settings, verified_topics(), seals, folder=folder, progress=titled("reading the topics"), ends=ends
        )
        kept = fresh.Kept(stack.enter_context((folder / "again").open("w+b"))) if target is not None else None
        verifier = Verifier(
            logs,
            PolicyShelf(logs),
            partitions=settings.partitions,
            sizes=settings.sizes,
            batches=titled("proving, batches"),
            scope=replace(scope, live_ms=live_ms),
            snapshots=snapshots,
            spool=stack.enter_context((folder / "lanes").open("w+b")),
            resume=note,
            sink=kept,
            seals=seals,
        )
        report = await asyncio.to_thread(verifier.run, AGENTS)
        if target is not None and kept is not None:
            await fresh.write(target, kept)
    return report


def _keys(settings: Settings) -> KeyedSeals | None:
    """The keys to check seals with; None where there are none: who proves need not be who may write."""
    if settings.seal_key_file is None and not (settings.data_dir / FILE).exists():
        return None
    try:
        return load_seals(settings)
    except SealKeyError as error:
        fail(str(error))


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report.plain()) + b"\n")
        return
    plain = report.plain()
    typer.echo(
        f"{report.batches} batches, {report.compared} derived records compared, {report.equal} equal, "
        f"{plain['different']} different, {sum(report.not_verifiable.values())} not verifiable"
    )
    if report.seals_checked is None:
        typer.echo("seals were not checked: no key (ENDOCRINE_SEAL_KEY_FILE)")
    else:
        unknown = f", {report.seals_unknown} under keys that the file does not have" if report.seals_unknown else ""
        typer.echo(f"seals: {report.seals_checked} checked{unknown}")
    if report.unread:
        typer.echo(f"not read yet: {report.unread} inputs of the last {SETTLED_S:.0f} s")
    for told, units in _by_start(report).items():
        typer.echo(f"state from {told}: {', '.join(units)}")
    for kind, found in plain["findings"].items():
        typer.echo(f"{kind}: {report.counts[kind]}")
        _some(found, report.counts[kind])
    for reason, count in plain["not_verifiable"].items():
        typer.echo(f"not verifiable: {count} records: {reason}")
    for one in report.differences[:SHOWN]:
        typer.echo(f"different: {one['topic']}/{one['partition']} at offset {one['offset']}: {one['id']}")
        for field in one["fields"]:
            typer.echo(f"  {field['path']}: expected {field['expected']!r}, found {field['found']!r}")
    typer.echo("proved: every derived record follows from its inputs" if report.proved else "NOT proved")


def _by_start(report: Report) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for unit, told in report.starts.items():
        found.setdefault(told, []).append(unit)
    return found


def _some(found: list[str], count: int) -> None:
    for finding in found[:SHOWN]:
        typer.echo(f"  {finding}")
    if count > SHOWN:
        typer.echo(f"  and {count - SHOWN} more")


@replay.command("what-if")
def what_if(
    policy: Rules,
    since: Since = None,
    until: Until = None,
    identity: Identity = None,
    form: Form = "json",
    output: Output = None,
    bootstrap: Bootstrap = None,
) -> None:
    """The same history under another policy: which modulations, decisions and incidents change.

    All agents run in process over what came from outside; what the other world would not have is named unknown. --from
    and --to choose which of the changes are told (by append time); the history is run from its beginning. Exit codes: 0
    done, 2 it cannot be read or was asked wrongly.
    """
    from pipeline.logs import set_up_logs
    from pipeline.memory import keep_memory
    from pipeline.replay.what_if_report import FORMS, written

    set_up_logs("ERROR")
    keep_memory()
    settings = settings_of(bootstrap)
    scope = _scope(since, until, identity, None)
    if form not in FORMS:
        fail(f"--format {form}: expected one of {', '.join(FORMS)}")
    with told_errors(settings):
        told = asyncio.run(_asked(settings, policy, scope))
        data = written(told, form)
        if output is None:
            sys.stdout.buffer.write(data)
        else:
            output.write_bytes(data)


async def _asked(settings: Settings, policy: Path, scope: Scope) -> Any:
    import os

    from agents.roster import AGENTS
    from pipeline.policy_files import PolicyFileError, load_policy
    from pipeline.replay.policies import PolicyShelf
    from pipeline.replay.verify import verified_topics
    from pipeline.replay.what_if import compare_worlds
    from pipeline.version import code_version

    try:
        other = load_policy(policy, os.environ)
    except PolicyFileError as error:
        fail(str(error))
    with scratch() as folder, bar() as titled:
        logs = await read_history(
            settings, verified_topics(), RecordedSeals(), folder=folder, progress=titled("reading the topics")
        )
        return await asyncio.to_thread(
            compare_worlds,
            logs,
            AGENTS,
            PolicyShelf(logs),
            other,
            partitions=settings.partitions,
            sizes=settings.sizes,
            version=code_version(settings.build),
            scope=scope,
            progress=titled("running both worlds"),
        )
