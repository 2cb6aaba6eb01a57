"""`endocrine backup`: backups while workers go on, restoring one to a new prefix, drills, and how old they are."""

import asyncio
import shutil
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
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
    Json,
    bars,
    fail,
    operator,
    print_json,
    settings_of,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.agents.policy.sections import BackupRules
    from endocrine.pipeline.core.seals import KeyedSeals
    from endocrine.pipeline.process.settings import Settings

_OF_POLICY = "By default the policy's `backup`."
Directory = Annotated[Path, typer.Option("--dir", help="Folder of the backups.")]
Stamp = Annotated[str, typer.Argument(metavar="STAMP", help="Name of a backup, as `backup list` prints it.")]
IN_DIRECTORY = Path(".endocrine/backups")
_MARKER_S = 15.0
"""Seconds to wait for a worker to keep a drill's marker."""


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Backups: made while workers go on, validated, restored to a new prefix, drilled.")
    for command in (create, list_, validate, restore, drill, prune, health, open_):
        group.command(command.__name__.rstrip("_"))(command)
    app.add_typer(group, name="backup")


def create(
    directory: Directory = IN_DIRECTORY,
    encrypt_to: Annotated[
        str | None, typer.Option("--encrypt-to", metavar="RECIPIENT", help="Write it as a file for age, too: age1...")
    ] = None,
    bootstrap: Bootstrap = None,
    as_json: Json = False,
) -> None:
    """Write the states of all agents as of one consistent cut, and every record; then check every file.

    Exit codes: 0 done, 1 it is not valid, 2 it cannot be written or the broker cannot be read, 3 no consistent cut
    could be had under this load.
    """
    from endocrine.pipeline.data.backup.off_host import OffHostError, encrypt

    settings = settings_of(bootstrap)
    stamp, verdict = run_reported(settings, create_backup(settings, directory))
    answer: dict[str, Any] = {"stamp": stamp, **verdict}
    if encrypt_to is not None and verdict["valid"]:
        try:
            answer["encrypted"] = str(encrypt(directory / stamp, encrypt_to))
        except OffHostError as error:
            fail(f"{stamp} was made, and not encrypted: {error}")
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{stamp} in {directory}: {_verdict(verdict)}")
        if "encrypted" in answer:
            typer.echo(f"encrypted: {answer['encrypted']}")
    raise typer.Exit(0 if verdict["valid"] else BROKEN)


def list_(directory: Directory = IN_DIRECTORY, as_json: Json = False) -> None:
    """List backups with their verdicts, oldest first; invalid ones are listed and never counted."""
    from endocrine.pipeline.data.backup.bundle import stamps_in, verdict_of

    found = [{"stamp": stamp, **verdict_of(directory / stamp)} for stamp in stamps_in(directory)]
    if as_json:
        print_json(found)
    elif found:
        print_table(["backup", "verdict"], [[one["stamp"], _verdict(one)] for one in found])
    else:
        typer.echo(f"no backups in {directory}")


def validate(stamp: Stamp, directory: Directory = IN_DIRECTORY, as_json: Json = False) -> None:
    """Check every file of a backup against its manifest, the manifest's signature, and write the verdict.

    The signature is checked where the seal keys are at hand; `restore` never goes without.

    Exit codes: 0 valid, 1 not valid, 2 no such backup.
    """
    from endocrine.pipeline.data.backup.bundle import validate as validated
    from endocrine.pipeline.data.backup.bundle import write_verdict

    folder = _folder(directory, stamp)
    verdict = validated(folder, _own_seals())
    write_verdict(folder, verdict)
    if as_json:
        print_json(verdict)
    else:
        typer.echo(f"{stamp}: {_verdict(verdict)}")
    raise typer.Exit(0 if verdict["valid"] else BROKEN)


def restore(
    stamp: Stamp,
    directory: Directory = IN_DIRECTORY,
    stopped: Annotated[
        bool, typer.Option("--confirm-workers-stopped", help="Workers, connectors and projections are stopped.")
    ] = False,
    prefix: Annotated[
        str | None, typer.Option(metavar="P", help="Prefix to restore to, without records. Default: the one in use.")
    ] = None,
    safety: Annotated[
        bool, typer.Option("--safety/--no-safety", help="Back up first what is under the prefix in use.")
    ] = True,
    bootstrap: Bootstrap = None,
    as_json: Json = False,
) -> None:
    """Write a backup to a prefix that holds no records, and read everything back.

    Exit codes: 0 restored and verified, 1 refused, or not verified (do not start workers), 2 usage, or the broker
    cannot be used.
    """
    from endocrine.pipeline.data.backup.restore import refuse_members
    from endocrine.pipeline.data.backup.restore import restore as restored

    if not stopped:
        fail("stop workers, connectors and projections, then give --confirm-workers-stopped")
    settings = settings_of(bootstrap)
    folder = _folder(directory, stamp)
    wanted = settings.prefix if prefix is None else settings.model_copy(update={"prefix": prefix}).prefix
    checked_prefix(wanted)

    async def work() -> tuple[str | None, Any]:
        await refuse_members(settings)
        kept = await _safety(settings, directory) if safety else None
        with bars() as titled:
            return kept, await restored(settings, folder, wanted, progress=titled("restoring"))

    kept, done = run_reported(settings, work())
    answer = {"stamp": stamp, "safety_stamp": kept, **done._asdict(), "snapshot": str(done.snapshot)}
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{stamp}: {done.records} records and {done.states} states under {done.prefix!r}")
        if kept:
            typer.echo(f"safety backup: {kept}")
        typer.echo("verified: what is there is what was written" if done.verified else "NOT verified: start no workers")
        typer.echo(f"prove what follows: endocrine replay verify --snapshot {done.snapshot}")
    raise typer.Exit(0 if done.verified else BROKEN)


def drill(directory: Directory = IN_DIRECTORY, bootstrap: Bootstrap = None, as_json: Json = False) -> None:
    """Make a backup, restore it beside the live prefix, compare, and delete what was restored.

    A marker, a memory of `project:drill`, is written after the backup: it must not come back, and must be in the safety
    backup that is made then. Without a worker none is written, which the outcome names as a surprise.

    Workers go on meanwhile. The outcome is appended to drills.jsonl in the folder, and to the topic ops-events. Exit
    codes: 0 verified, 1 not, 2 the broker cannot be used, 3 no consistent cut could be had.
    """
    from endocrine.pipeline.data.backup.health import DRILLS
    from endocrine.pipeline.data.backup.marker import take_marker_away
    from endocrine.pipeline.data.backup.restore import drop
    from endocrine.pipeline.data.backup.restore import restore as restored
    from endocrine.pipeline.data.commands import NotConfirmed
    from endocrine.pipeline.data.ingest.produce import ProduceError
    from endocrine.pipeline.data.ops_events import put_on_record

    settings = settings_of(bootstrap)

    by = operator(None)

    async def work() -> dict[str, Any]:
        begun = time.monotonic()
        stamp, verdict = await create_backup(settings, directory)
        made = time.monotonic()
        outcome: dict[str, Any] = {"stamp": stamp, "valid": verdict["valid"], "verified": False}
        memory_id, outcome["surprises"] = await _marked(settings, stamp, by)
        scratch = settings.model_copy(update={"prefix": f"{settings.prefix}drill-{stamp.lower()}."})
        try:
            if verdict["valid"]:
                done = await restored(settings, directory / stamp, scratch.prefix, groups=False)
                outcome |= {"verified": done.verified, "records": done.records, "states": done.states}
                if memory_id is not None:
                    outcome |= await _marker_held(settings, scratch, directory, stamp)
                    outcome["verified"] = outcome["verified"] and outcome["marker"]
        finally:
            if memory_id is not None:
                with suppress(NotConfirmed):
                    await take_marker_away(settings, memory_id, by=by, within_s=_MARKER_S)
            await drop(scratch)
        seconds = {"backup_s": round(made - begun, 1), "restore_s": round(time.monotonic() - made, 1)}
        return outcome | seconds | {"at": time.time()}

    outcome = run_reported(settings, work())
    with (directory / DRILLS).open("ab") as file:
        file.write(orjson.dumps(outcome) + b"\n")
    try:
        ended = "done" if outcome["verified"] else "failed"
        run_reported(settings, put_on_record(settings, "drill", ended, outcome, by=by))
    except ProduceError as error:  # the file has it; what was drilled was drilled
        typer.echo(f"the drill is not on ops-events: {error}", err=True)
    if as_json:
        print_json(outcome)
    else:
        how = "restored and verified" if outcome["verified"] else "NOT verified"
        typer.echo(f"{outcome['stamp']}: {how}; backup {outcome['backup_s']} s, restore {outcome['restore_s']} s")
        for surprise in outcome["surprises"]:
            typer.echo(f"surprise: {surprise}")
    raise typer.Exit(0 if outcome["verified"] else BROKEN)


async def _marked(settings: "Settings", stamp: str, by: str) -> tuple[str | None, list[str]]:
    """The id of the marker's memory, or None and why there is none."""
    from endocrine.pipeline.data.backup.marker import write_marker
    from endocrine.pipeline.data.commands import NotConfirmed, Refused

    try:
        return await write_marker(settings, stamp, by=by, within_s=_MARKER_S), []
    except (NotConfirmed, Refused) as error:
        return None, [f"no marker: {error}"]


async def _marker_held(settings: "Settings", scratch: "Settings", directory: Path, stamp: str) -> dict[str, Any]:
    """Whether the marker is where it must be, and nowhere else."""
    from endocrine.pipeline.data.backup.marker import marked, marked_in

    safety, verdict = await create_backup(settings, directory, safety=True)
    missing, back = not marked_in(directory / safety, stamp), await marked(scratch, stamp)
    surprises = ["the marker came back with a backup from before it"] * back
    surprises += ["the marker is not in the safety backup that was made after it"] * missing
    surprises += [f"the safety backup is not valid: {_verdict(verdict)}"] * (not verdict["valid"])
    return {"safety": safety, "marker": not surprises, "surprises": surprises}


def prune(
    directory: Directory = IN_DIRECTORY,
    daily: Annotated[int | None, typer.Option(min=1, help=f"Newest days that keep one. {_OF_POLICY}")] = None,
    weekly: Annotated[int | None, typer.Option(min=0, help=f"Newest Sundays that keep one. {_OF_POLICY}")] = None,
    monthly: Annotated[
        int | None, typer.Option(min=0, help=f"Newest firsts of a month that keep one. {_OF_POLICY}")
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Delete. Without it: dry run.")] = False,
    as_json: Json = False,
) -> None:
    """Delete valid backups that the retention does not keep; every file of those it keeps is checked first.

    Invalid ones and other names are listed, never deleted and never counted. Exit codes: 0 done.
    """
    from endocrine.pipeline.data.backup.bundle import stamps_in
    from endocrine.pipeline.data.backup.bundle import validate as validated
    from endocrine.pipeline.data.backup.retention import Retention, kept

    rules = _rules()
    given = Retention(
        rules.daily if daily is None else daily,
        rules.weekly if weekly is None else weekly,
        rules.monthly if monthly is None else monthly,
    )
    stamps = stamps_in(directory)
    seals = _own_seals()
    valid = [stamp for stamp in stamps if validated(directory / stamp, seals)["valid"]]
    keep = kept(valid, given, datetime.now(UTC))
    delete = [stamp for stamp in valid if stamp not in keep]
    others = sorted(one.name for one in directory.iterdir() if one.name not in stamps) if directory.is_dir() else []
    if confirm:
        for stamp in delete:
            shutil.rmtree(directory / stamp)
    answer = {"kept": sorted(keep), "deleted": delete, "invalid": [one for one in stamps if one not in valid],
              "others": others, "dry_run": not confirm}  # fmt: skip
    if as_json:
        print_json(answer)
        return
    typer.echo(f"{len(keep)} kept, {len(delete)} {'deleted' if confirm else 'to be deleted (--confirm)'}")
    for title in ("deleted", "invalid", "others"):
        for name in answer[title]:  # type: ignore[attr-defined]
            typer.echo(f"  {title}: {name}")


def health(directory: Directory = IN_DIRECTORY, as_json: Json = False) -> None:
    """Report how old the newest valid backup and the last verified drill are.

    What is too old is policy (`backup`; as shipped, a warning from 7 days on, too old after 10).
    Exit codes: 0 young enough, or a warning, 1 too old, or there is none.
    """
    from endocrine.pipeline.data.backup.health import backup_health

    found = backup_health(directory, datetime.now(UTC), _rules(), _own_seals())
    if as_json:
        print_json(found.as_json())
    else:
        newest = f"newest valid backup {found.newest}, {found.days:.1f} days old" if found.newest else "no backup"
        typer.echo(f"{found.status}: {newest}")
        if found.drill_status == "warn":
            typer.echo(f"warn: no verified drill {f'for {found.drill_days:.0f} days' if found.drill_days else 'yet'}")
    raise typer.Exit(BROKEN if found.status == "fail" else 0)


def open_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup create --encrypt-to` wrote.")],
    identity: Annotated[Path, typer.Option(metavar="FILE", help="The age identity of its recipient.")],
    directory: Directory = IN_DIRECTORY,
) -> None:
    """Write an encrypted backup, decrypted, into the folder of backups, where it is valid.

    Exit codes: 0 done, 2 it cannot be decrypted or is not valid.
    """
    from endocrine.pipeline.data.backup.bundle import validate as validated
    from endocrine.pipeline.data.backup.bundle import write_verdict
    from endocrine.pipeline.data.backup.off_host import OffHostError, open_file

    try:
        seals = _own_seals()
        stamp = open_file(file, identity, directory, seals)
    except OffHostError as error:
        fail(str(error))
    write_verdict(directory / stamp, validated(directory / stamp, seals))
    typer.echo(f"{stamp} in {directory}")


async def create_backup(settings: "Settings", directory: Path, *, safety: bool = False) -> tuple[str, dict[str, Any]]:
    """Make a backup with its progress shown; return its name and its verdict."""
    from endocrine.pipeline.data.backup.create import create as created
    from endocrine.pipeline.process.version import code_version

    with bars() as titled:
        return await created(settings, directory, version=code_version(settings.build), safety=safety, progress=titled)


async def _safety(settings: "Settings", directory: Path) -> str | None:
    """What is under the prefix in use, first; None where nothing is. An invalid one ends the restore."""
    from endocrine.pipeline.data.backup.restore import RestoreRefused, has_topics

    if not await has_topics(settings):
        return None
    stamp, verdict = await create_backup(settings, directory, safety=True)
    if not verdict["valid"]:
        raise RestoreRefused(f"safety backup {stamp} is not valid: {_verdict(verdict)}; --no-safety goes on without")
    return stamp


def run_reported(settings: "Settings", work: Coroutine[Any, Any, Any], run: Callable[..., Any] = asyncio.run) -> Any:
    """Run it; an error that an operator can act on ends the command with its sentence."""
    from endocrine.pipeline.data.backup.consistent_cut import NoCut
    from endocrine.pipeline.data.backup.restore import RestoreRefused
    from endocrine.pipeline.data.backup.translation import UnknownKeys
    from endocrine.pipeline.kafka.topic_reader import NoSuchTopic
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.process.seal_keys import KeyFileError

    set_up_logs("ERROR")
    with user_errors(settings):
        try:
            return run(work)
        except (RestoreRefused, UnknownKeys) as error:
            fail(str(error), BROKEN)
        except NoCut as error:
            fail(str(error), UNCONFIRMED)
        except (NoSuchTopic, KeyFileError) as error:
            fail(str(error))


def _own_seals() -> "KeyedSeals | None":
    """Seals by which the deployment knows its own backups; None on a machine without its keys."""
    from endocrine.pipeline.process.seal_keys import SealKeyError, known_seals

    try:
        return known_seals(settings_of(None))
    except SealKeyError as error:
        fail(str(error))


def _rules() -> "BackupRules":
    """The `backup` section of the policy of the settings."""
    import os

    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

    try:
        return load_policy(settings_of(None).policy, os.environ).document.backup
    except PolicyFileError as error:
        fail(str(error))


def _folder(directory: Path, stamp: str) -> Path:
    from endocrine.pipeline.data.backup.retention import time_of

    if time_of(stamp) is None or not (directory / stamp).is_dir():
        fail(f"no backup {stamp!r} in {directory}; `endocrine backup list` names those there are")
    return directory / stamp


def checked_prefix(prefix: str, option: str = "--prefix") -> None:
    """End the command where no topics can have this prefix."""
    import re

    if not re.fullmatch(r"[a-z0-9._-]+", prefix):
        fail(f"{option} {prefix!r}: expected letters a-z, digits and . _ -, such as `restored.`")


def _verdict(verdict: dict[str, Any]) -> str:
    errors = verdict["errors"]
    return "valid" if verdict["valid"] else f"NOT valid: {', '.join(errors[:3])}{' ...' if errors[3:] else ''}"
