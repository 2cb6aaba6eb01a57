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

from endocrine.pipeline.cli.collected import temp_dir, user_errors
from endocrine.pipeline.cli.common import (
    Bootstrap,
    ProgressLines,
    bars,
    content_keys_on_record,
    fail,
    milliseconds,
    prompt_keys_of,
    settings_of,
    whose,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.core.time_format import EXPECTED
from endocrine.pipeline.process.seal_keys import SealKeyError, known_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import log_ends, read_history
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.report import Report, Scope
from endocrine.pipeline.replay.resume import Resume
from endocrine.pipeline.replay.state_files import Snapshots

SHOWN = 20
NOTHING = 3
"""Exit code where there is nothing to verify: neither a proof nor a finding."""
SETTLED_S = 60.0
"""Seconds after which an input must have been read, and an output's batch be in the journal. What is younger may belong
to batches that workers are making. By our clock, against the broker's append times."""
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
FormatOption = Annotated[
    str | None, typer.Option("--format", metavar="FORM", help="text (sentences), json, csv or html. Default: text.")
]
WhatIfJson = Annotated[bool, typer.Option("--json", help="The whole report as JSON: the same as --format json.")]
Output = Annotated[Path | None, typer.Option(help="File to write instead of standard output.")]
replay = command_group("Prove decisions again from the topics alone; ask what would have been.")


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
    progress_lines: ProgressLines = False,
    bootstrap: Bootstrap = None,
    as_json: Json = False,
) -> None:
    """Re-run all agents over the records of the topics, in journal order, and compare every derived record.

    Reads only. Times are the broker's append times. Without --to, stop the workers first, or the newest records count
    as missing. Exit codes: 0 proved, 1 something was found or cannot be verified, 2 it cannot be read or invalid
    arguments, 3 there is nothing to verify.
    """
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.process.malloc import keep_memory

    set_up_logs("ERROR")
    keep_memory()
    settings = settings_of(bootstrap, reads=True)
    scope = _scope(since, until, whose(settings, identity), topic)
    if to_topics is not None and resume is not None:
        fail("--to-topics with --resume: what was made before the stop would be missing; give one of them")
    with user_errors(settings):
        work = verified(
            settings,
            scope,
            snapshot=snapshot,
            to_topics=to_topics,
            resume=resume,
            asked=(since, until),
            progress_lines=progress_lines,
        )
        report = asyncio.run(work)
    _print(report, as_json)
    if report.verified_nothing:
        raise typer.Exit(NOTHING)
    raise typer.Exit(0 if report.proved else 1)


def _scope(since: str | None, until: str | None, identity: str | None, topics: list[str] | None) -> Scope:
    from endocrine.pipeline.replay.verify import verified_topics

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
    progress_lines: bool = False,
) -> Report:
    """Return the report on the records of these settings' topics.

    asked: how the command was asked, beside the scope: a resumed one must be asked alike.
    """
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.process.version import code_version
    from endocrine.pipeline.replay import fresh
    from endocrine.pipeline.replay.policy_history import PolicyHistory
    from endocrine.pipeline.replay.verify import Verifier, verified_topics

    keys = _keys(settings)
    prompt_keys = prompt_keys_of(settings)
    deployment = {"prefix": settings.prefix, "partitions": settings.partitions}
    snapshots = Snapshots(snapshot, deployment)
    note = None
    if resume is not None:
        options = [asked, scope.identity, sorted(scope.topics or ()), None if snapshot is None else str(snapshot)]
        arguments = [*options, [agent.name for agent in AGENTS], code_version(settings.build), settings.bootstrap]
        note = Resume(resume, {**deployment, "asked": orjson.dumps(arguments).decode()})
    target = None if to_topics is None else await fresh.prepare(settings, to_topics)
    with ExitStack() as stack:
        folder, titled = stack.enter_context(temp_dir()), stack.enter_context(bars(as_lines=progress_lines))
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
        kept = fresh.RecordSink(stack.enter_context((folder / "again").open("w+b"))) if target is not None else None
        verifier = Verifier(
            logs,
            PolicyHistory(logs, prompt_keys),
            partitions=settings.partitions,
            sizes=settings.sizes,
            batches=titled("proving, batches"),
            scope=replace(scope, live_ms=live_ms),
            snapshots=snapshots,
            index_file=stack.enter_context((folder / "lanes").open("w+b")),
            resume=note,
            sink=kept,
            seals=seals,
            keys=content_keys_on_record(settings, logs),
        )
        report = await asyncio.to_thread(verifier.run, AGENTS)
        if target is not None and kept is not None:
            await fresh.write(target, kept)
    return report


def _keys(settings: Settings) -> KeyedSeals | None:
    try:
        return known_seals(settings)
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
        + (f", {report.superseded} compacted away: a later one of their key is there" if report.superseded else "")
        + (f", {report.erased} erased: decided from content whose key was destroyed" if report.erased else "")
    )
    if report.seals_checked is None:
        typer.echo("seals were not checked: no key (ENDOCRINE_SEAL_KEY_FILE)")
    else:
        unknown = f", {report.seals_unknown} under keys that the file does not have" if report.seals_unknown else ""
        foreign = f", {report.seals_foreign} of records left out: not ours" if report.seals_foreign else ""
        typer.echo(f"seals: {report.seals_checked} checked{unknown}{foreign}")
    if report.unread:
        typer.echo(f"not read yet: {report.unread} inputs of the last {SETTLED_S:.0f} s")
    for start, units in _by_start(report).items():
        all_of_them = len(units) > 1 and len(units) == len(report.starts)
        typer.echo(f"state from {start}: {'every agent and partition' if all_of_them else ', '.join(units)}")
    for kind, found in plain["findings"].items():
        typer.echo(f"{kind}: {report.counts[kind]}")
        _some(found, report.counts[kind])
    for reason, count in plain["not_verifiable"].items():
        typer.echo(f"not verifiable: {count} records: {reason}")
    for one in report.differences[:SHOWN]:
        typer.echo(f"different: {one['topic']}/{one['partition']} at offset {one['offset']}: {one['id']}")
        for field in one["fields"]:
            typer.echo(f"  {field['path']}: expected {field['expected']!r}, found {field['found']!r}")
    if report.verified_nothing:
        typer.echo("nothing to verify: no batch of the journal, and no derived record, is within what was asked for")
    else:
        typer.echo("proved: every derived record follows from its inputs" if report.proved else "NOT proved")


def _by_start(report: Report) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for unit, start in report.starts.items():
        found.setdefault(start, []).append(unit)
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
    form: FormatOption = None,
    output: Output = None,
    as_json: WhatIfJson = False,
    progress_lines: ProgressLines = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Re-run the same history under another policy: which modulations, decisions and incidents change.

    All agents run in process over what came from outside; what the other world would not have is named unknown. --from
    and --to choose which of the changes are reported (by append time); the history is run from its beginning. Exit
    codes: 0 done, 2 it cannot be read or invalid arguments.
    """
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.process.malloc import keep_memory
    from endocrine.pipeline.replay.what_if_report import FORMS, written

    set_up_logs("ERROR")
    keep_memory()
    settings = settings_of(bootstrap, reads=True)
    scope = _scope(since, until, whose(settings, identity), None)
    if as_json and form not in (None, "json"):
        fail(f"--json with --format {form}; expected one of them")
    form = "json" if as_json else form or "text"
    if form not in FORMS:
        fail(f"--format {form}: expected one of {', '.join(FORMS)}")
    with user_errors(settings):
        content = asyncio.run(_asked(settings, policy, scope, progress_lines=progress_lines))
        data = written(content, form)
        if output is None:
            sys.stdout.buffer.write(data)
        else:
            output.write_bytes(data)


async def _asked(settings: Settings, policy: Path, scope: Scope, *, progress_lines: bool) -> Any:
    import os

    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
    from endocrine.pipeline.process.version import code_version
    from endocrine.pipeline.replay.policy_history import PolicyHistory
    from endocrine.pipeline.replay.verify import verified_topics
    from endocrine.pipeline.replay.what_if import compare_worlds

    prompt_keys = prompt_keys_of(settings)
    try:
        other = load_policy(policy, os.environ, prompt_keys)
    except PolicyFileError as error:
        fail(str(error))
    with temp_dir() as folder, bars(as_lines=progress_lines) as titled:
        logs = await read_history(
            settings,
            verified_topics(),
            RecordedSeals(),
            folder=folder,
            progress=titled("reading the topics"),
            as_stored=False,
        )
        return await asyncio.to_thread(
            compare_worlds,
            logs,
            AGENTS,
            PolicyHistory(logs, prompt_keys),
            other,
            partitions=settings.partitions,
            sizes=settings.sizes,
            version=code_version(settings.build),
            scope=scope,
            progress=titled("running both worlds"),
        )
