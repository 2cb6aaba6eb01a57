"""`endocrine policy publish|promote|rollback|history|diff`: the policy in force, on a running deployment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    By,
    Json,
    fail,
    on_broker,
    operator,
    print_json,
    settings_of,
    shown_time,
)
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy
    from endocrine.pipeline.core.rollouts import Rollouts
    from endocrine.pipeline.core.seals import Seals
    from endocrine.pipeline.data.policy_rollout import Plan
    from endocrine.pipeline.process.settings import Settings
    from endocrine.schemas.rollouts import PolicyRollout

LINES = 40
"""Differences shown before it is put in force."""
_DIGEST = re.compile(r"[0-9a-f]{6,64}")
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without it: dry run.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the record; at most 500 characters.")]
Which = Annotated[str, typer.Argument(help="A digest, its beginning (6 characters or more), `in-force`, or a file.")]


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `policy`."""
    group.command("publish")(publish)
    group.command("promote")(promote)
    group.command("rollback")(rollback)
    group.command("history")(history)
    group.command("diff")(diff)


def publish(
    file: Annotated[Path, typer.Argument(help="Policy file, laid over the shipped policy.")],
    canary: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="For this share of identities only, above 0 and below 1, by their hash."),
    ] = None,
    reason: Reason = None,
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Put FILE in force: every worker follows without a restart. Without --yes, show what would change.

    Flags in the environment (ENDOCRINE_FLAG_NAME) count here and become part of it; those of workers do not count
    while a policy is published. Exit codes: 0 in force or shown, 1 the policy or the rollout is refused, 2 the broker
    is away or invalid arguments.
    """
    from endocrine.pipeline.data import policy_rollout

    settings = settings_of(bootstrap)
    if canary is not None and not 0 < canary < 1:
        fail(f"--canary: {canary:g}; expected a share above 0 and below 1")
    policy = _loaded(file)
    if canary is None:
        return _roll_out(settings, policy_rollout.publish(policy), by, reason, yes=yes, as_json=as_json)
    base = _loaded(settings.policy)
    plan = policy_rollout.canary(policy, canary, base)
    _roll_out(settings, plan, by, reason, yes=yes, as_json=as_json, base=base)


def promote(
    reason: Reason = None, by: By = None, yes: Yes = False, as_json: Json = False, bootstrap: Bootstrap = None
) -> None:
    """Put the candidate of the canary in force for everybody. Without --yes, show what would change.

    Exit codes: 0 in force or shown, 1 no canary is in force, 2 the broker is away or invalid arguments.
    """
    from endocrine.pipeline.data import policy_rollout

    _roll_out(settings_of(bootstrap), policy_rollout.promote, by, reason, yes=yes, as_json=as_json)


def rollback(
    reason: Reason = None, by: By = None, yes: Yes = False, as_json: Json = False, bootstrap: Bootstrap = None
) -> None:
    """Put in force again what was before: a canary ends, a published policy gives way to the one before it.

    Without --yes, show what would change. Exit codes: 0 in force or shown, 1 there is nothing to go back to, 2 the
    broker is away or invalid arguments.
    """
    from endocrine.pipeline.data import policy_rollout

    _roll_out(settings_of(bootstrap), policy_rollout.roll_back, by, reason, yes=yes, as_json=as_json)


def history(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Rows shown.")] = 50,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show what was put in force, when and by whom, newest first; the first line is in force.

    Exit codes: 0 shown, 2 the broker or the seal keys are away.
    """
    settings = settings_of(bootstrap, reads=True)
    rollouts = on_broker(settings, _rollouts(settings, _seals(settings)))
    entries = rollouts.entries[::-1][:limit]
    if as_json:
        print_json({"in_force": rollouts.digest, "ignored": rollouts.ignored, "items": [row(one) for one in entries]})
        return
    if not entries:
        print("nothing is published: each process goes by the policy of its settings")
    else:
        columns = ("number", "time", "kind", "policy", "share", "by", "reason")
        print_table(columns, [[shown_row(one)[name] for name in columns] for one in entries])
    if rollouts.ignored:
        print(f"{rollouts.ignored} records on the topic are not rollouts of ours, and change nothing")


def diff(a: Which, b: Which, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Show in which values policy B differs from policy A.

    Exit codes: 0 they are the same, 1 they differ, 2 one is not there, or the broker is away.
    """
    from endocrine.pipeline.data.policy_differences import differences, sentences

    settings = settings_of(bootstrap, reads=True)
    found = differences(*_documents(settings, (a, b)))
    if as_json:
        print_json({"differences": found})
    else:
        print("\n".join(sentences(found)) or "the same")
    if found:
        raise typer.Exit(1)


def row(entry: "PolicyRollout") -> dict[str, Any]:
    """Return a rollout without its document."""
    return entry.model_dump(mode="json", exclude={"policy"})


def shown_row(entry: "PolicyRollout") -> dict[str, Any]:
    """Return a rollout as a table shows it."""
    share = "" if entry.share is None else f"{entry.share:.2%}"
    named = {"time": shown_time(entry.ts), "policy": (entry.digest or "of the settings")[:16], "share": share}
    return row(entry) | named | {"reason": entry.reason or ""}


def _loaded(file: Path | None) -> "Policy":
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

    try:
        return load_policy(file, os.environ)
    except PolicyFileError as error:
        for mistake in error.errors:
            typer.echo(mistake, err=True)
        raise typer.Exit(1) from None


def _seals(settings: "Settings") -> "Seals":
    from endocrine.pipeline.process.seal_keys import SealKeyError, load_seals

    try:
        return load_seals(settings)
    except SealKeyError as error:
        fail(str(error))


async def _rollouts(settings: "Settings", seals: "Seals") -> "Rollouts":
    from endocrine.pipeline.kafka.policy_follower import read_rollouts

    return await read_rollouts(settings, seals)


def _roll_out(
    settings: "Settings",
    plan: "Plan",
    by: str | None,
    reason: str | None,
    *,
    yes: bool,
    as_json: bool,
    base: "Policy | None" = None,
) -> None:
    """Show what a plan changes, or do it. base: of a canary; the policy where nothing is published."""
    from endocrine.pipeline.data.policy_differences import differences, sentences
    from endocrine.pipeline.data.policy_rollout import RolloutRefused, on_record, roll_out

    if reason is not None and len(reason) > 500:
        fail(f"--reason: {len(reason)} characters; expected at most 500")
    who, seals = operator(by), _seals(settings)
    before = on_broker(settings, _rollouts(settings, seals))
    try:
        change = plan(before)
        if base is not None and not before.standing():
            on_broker(settings, on_record(settings, seals, base))
        if yes:
            entry = on_broker(settings, roll_out(settings, seals, plan, by=who, reason=reason))
            if as_json:
                print_json(row(entry))
            else:
                print(f"rollout {entry.number} ({entry.kind}): {entry.digest or 'the policy of the settings'}")
            return
    except RolloutRefused as error:
        fail(str(error), BROKEN)
    now = before.entries[-1].policy if before.digest else None
    found = differences(now or _loaded(settings.policy).resolved, change.policy.resolved if change.policy else {})
    if as_json:
        digest = change.policy and change.policy.digest
        print_json({"kind": change.kind, "digest": digest, "done": False, "differences": found})
        return
    print("\n".join(sentences(found)[:LINES]) if change.policy else "each process: the policy of its settings")
    if len(found) > LINES:
        print(f"and {len(found) - LINES} more differences")
    print(f"dry run: {change.kind} of {change.policy.digest if change.policy else 'the settings'}; --yes does it")


def _documents(settings: "Settings", named: tuple[str, str]) -> list[Mapping[str, Any]]:
    if all(Path(one).is_file() for one in named):
        return [_loaded(Path(one)).resolved for one in named]
    seals = _seals(settings)
    known = on_broker(settings, _known(settings, seals))
    return [_document(one, known, settings) for one in named]


async def _known(settings: "Settings", seals: "Seals") -> dict[str, Any]:
    from endocrine.pipeline.data.policy_rollout import published_documents

    rollouts = await _rollouts(settings, seals)
    found = await published_documents(settings, seals)
    found |= {entry.digest: entry.policy for entry in rollouts.entries if entry.digest}
    return found | {"in-force": rollouts.entries[-1].policy if rollouts.digest else None}


def _document(name: str, known: Mapping[str, Any], settings: "Settings") -> Mapping[str, Any]:
    if name == "in-force":
        return known[name] or _loaded(settings.policy).resolved
    if Path(name).is_file():
        return _loaded(Path(name)).resolved
    if not _DIGEST.fullmatch(name):
        fail(f"{name!r}: no such file, and no digest; expected 6 to 64 hexadecimal digits, `in-force`, or a file")
    matching = [digest for digest in known if digest.startswith(name)]
    if len(matching) != 1:
        fail(f"{name}: {len(matching)} published policies begin so; expected the beginning of one")
    found: Mapping[str, Any] = known[matching[0]]
    return found
