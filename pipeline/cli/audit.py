"""`endocrine audit keygen|checkpoint|verify`: the audit chain and the journal, signed and checked."""

import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    SOUND,
    Bootstrap,
    Json,
    ProgressLines,
    bar,
    fail,
    on_broker,
    settings_of,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.process.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from endocrine.pipeline.replay.audit_chain.verify import Report

SHOWN = 20
ENVIRONMENT_KEY = "ENDOCRINE_AUDIT_KEY"
Key = Annotated[
    Path | None,
    typer.Option(help=f"File of the private key; else what {ENVIRONMENT_KEY} names.", envvar=ENVIRONMENT_KEY),
]
Output = Annotated[Path | None, typer.Option(help="Append each checkpoint to this file too, one JSON object per line.")]
PublicKey = Annotated[
    list[Path] | None,
    typer.Option(help="File of public keys (PEM); may be given several times, one for each key used."),
]
CheckpointsOption = Annotated[
    list[Path] | None, typer.Option(help="File of checkpoints kept elsewhere (--output); may be given several times.")
]

RestoredFrom = Annotated[
    list[Path] | None,
    typer.Option(help="Snapshot that `backup restore` wrote; journals may begin after it. May be given several times."),
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("The audit chain and the journal: sign their ends, check them.")
    group.command("keygen")(keygen)
    group.command("pubkey")(pubkey)
    group.command("checkpoint")(checkpoint)
    group.command("verify")(verify)
    app.add_typer(group, name="audit")


def keygen(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the private key.")]) -> None:
    """Make a key for checkpoints: the private half to FILE (mode 0600), the public half and its id to stdout."""
    from endocrine.pipeline.process.seal_keys import KeyFileError
    from endocrine.pipeline.replay.audit_chain.keys import create, key_id

    try:
        public = create(file)
    except KeyFileError as error:
        fail(str(error))
    print(f"key id {key_id(public)}; private key in {file}", file=sys.stderr)
    _print_public(public)


def pubkey(key: Key = None) -> None:
    """Print the public half of a private key and its id: what `audit verify --public-key` takes. Needs no broker.

    Exit codes: 0 printed, 2 the key cannot be read.
    """
    from endocrine.pipeline.process.seal_keys import KeyFileError
    from endocrine.pipeline.replay.audit_chain.keys import load_private

    if key is None:
        fail(f"no key: give --key FILE or set {ENVIRONMENT_KEY}; `endocrine audit keygen FILE` makes one")
    try:
        _print_public(load_private(key).public_key())
    except KeyFileError as error:
        fail(str(error))


def _print_public(public: "Ed25519PublicKey") -> None:
    from endocrine.pipeline.replay.audit_chain.keys import key_id, public_pem

    print(f"# endocrine audit key {key_id(public)}\n{public_pem(public)}", end="")


def checkpoint(
    key: Key = None,
    every: Annotated[
        float | None, typer.Option(min=1, help="Go on, one every so many seconds. Ctrl-C ends it.")
    ] = None,
    output: Output = None,
    restored_from: RestoredFrom = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Sign the ends of the chains of `audits` and of the journal, and write that to the topic `checkpoints`.

    Reads on from this key's last checkpoint and signs nothing where what it reads is broken. Exit codes: 0 signed, or
    nothing had moved; 1 broken; 2 could not be done.
    """
    from endocrine.pipeline.process.seal_keys import KeyFileError
    from endocrine.pipeline.replay.audit_chain.keys import load_private

    if key is None:
        fail(f"no key: give --key FILE or set {ENVIRONMENT_KEY}; `endocrine audit keygen FILE` makes one")
    try:
        private = load_private(key)
    except KeyFileError as error:
        fail(str(error))
    settings = settings_of(bootstrap)
    backups = _backups(restored_from)
    try:
        while True:
            _sign_one(settings, private, output, as_json, backups)
            if every is None:
                return
            threading.Event().wait(every)
    except KeyboardInterrupt:
        raise typer.Exit(SOUND) from None


def verify(
    public_key: PublicKey = None,
    partition: Annotated[int | None, typer.Option(min=0, help="This partition alone.")] = None,
    checkpoints: CheckpointsOption = None,
    restored_from: RestoredFrom = None,
    metrics_file: Annotated[
        Path | None,
        typer.Option(help="Where the chains are sound, write when, for node exporter's textfile collector."),
    ] = None,
    progress_lines: ProgressLines = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Follow every chain of `audits` and of the journal through all checkpoints, and name the first broken record.

    Exit codes: 0 sound, 1 broken, 2 could not be checked. The report names what was not checked.
    """
    from endocrine.pipeline.process.seal_keys import KeyFileError
    from endocrine.pipeline.replay.audit_chain.broker import verify as verified
    from endocrine.pipeline.replay.audit_chain.keys import load_public

    settings = settings_of(bootstrap, reads=True)
    backups = _backups(restored_from)
    try:
        keys = load_public(public_key or [])
        with bar("records", as_lines=progress_lines) as progress:
            work = verified(
                settings,
                keys,
                files=checkpoints or [],
                partition=partition,
                restored_from=backups,
                progress=progress,
            )
            report = on_broker(settings, work)
    except KeyFileError as error:
        fail(str(error))
    _print(report, as_json, keys=bool(public_key))
    if metrics_file is not None and report.sound:
        from endocrine.pipeline.views.metrics.textfile import write_verified

        try:
            write_verified(metrics_file, time.time())
        except OSError as error:
            fail(f"{metrics_file} cannot be written: {error.strerror}")
    raise typer.Exit(SOUND if report.sound else BROKEN)


def _backups(folders: list[Path] | None) -> frozenset[str]:
    from endocrine.pipeline.replay.state_files import SnapshotError, backup_of

    try:
        return frozenset(backup_of(folder) for folder in folders or ())
    except SnapshotError as error:
        fail(str(error))


def _sign_one(
    settings: Settings, private: "Ed25519PrivateKey", output: Path | None, as_json: bool, backups: frozenset[str]
) -> None:
    from endocrine.pipeline.replay.audit_chain.broker import Unsound
    from endocrine.pipeline.replay.audit_chain.broker import checkpoint as signed

    try:
        with bar("records") as progress:
            record = on_broker(
                settings, signed(settings, private, time.time(), restored_from=backups, progress=progress)
            )
    except Unsound as unsound:
        for finding in unsound.findings[:SHOWN]:
            print(f"broken: {finding}", file=sys.stderr)
        fail(
            "nothing was signed: a signature would vouch for what is broken (`endocrine audit verify` says more)",
            BROKEN,
        )
    if record is None:
        print("nothing moved since the last checkpoint", file=sys.stderr)
        return
    line = orjson.dumps(record) + b"\n"
    if output is not None:
        _append(output, line)
    if as_json:
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
        return
    batches = sum(end["batch"] for end in record["journal"])
    bundles = sum(end["count"] for end in record["audits"])
    print(f"checkpoint {record['key_id']}/{record['number']}: {bundles} audits, {batches} journal records", flush=True)


def _append(output: Path, line: bytes) -> None:
    try:
        with output.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fail(f"{output}: cannot be written: {error.strerror}; the checkpoint is on its topic all the same")


def _print(report: "Report", as_json: bool, *, keys: bool) -> None:
    if as_json:
        shown: dict[str, Any] = {"sound": report.sound, **asdict(report)}
        shown["first"] = shown["findings"][0] if report.findings else None
        sys.stdout.buffer.write(orjson.dumps(shown) + b"\n")
        sys.stdout.flush()
        return
    print(
        f"{report.records} records in {report.chains} chains, {report.copies} of them copies;"
        f" {report.checkpoints} checkpoints, {report.signatures} signatures hold"
    )
    for number, finding in enumerate(report.findings[:SHOWN]):
        print(f"{'first broken' if number == 0 else 'also broken'}: {finding}")
    if len(report.findings) > SHOWN:
        print(f"and {len(report.findings) - SHOWN} more (--json shows all)")
    for gap in report.not_checked:
        print(f"not checked: {gap}")
    print(_verdict(report, keys=keys))


def _verdict(report: "Report", *, keys: bool) -> str:
    """The last line: what was found, and the greatest thing that was not looked at."""
    if not report.sound:
        return "BROKEN"
    if not report.records:
        return "nothing to verify: neither `audits` nor the journal holds a record"
    if not keys:
        return "sound as far as it was checked; signatures were NOT checked: no --public-key was given"
    if not report.checkpoints:
        return "sound as far as it was checked; there is no checkpoint, so a rewritten end would not be noticed"
    return "sound"
