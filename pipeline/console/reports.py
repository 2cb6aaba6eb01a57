"""What a replay found, in sentences: the verdict first. Pure."""

from collections.abc import Mapping
from typing import Any

from endocrine.pipeline.console.tasks import Task

_SHOWN = 5


def sentences(task: Task) -> list[str]:
    """Return what became of a task; the first sentence is the result. None while it runs."""
    if task.error is not None:
        return [task.error]
    if task.report is None:
        return []
    return {"verify": verified, "what-if": what_if, "chains": chains}[task.kind](task.report)


def verified(report: Mapping[str, Any]) -> list[str]:
    """Return the result of `replay verify --json`."""
    compared, batches = _count(report["compared"], "derived record"), _count(report["batches"], "batch", "batches")
    if report["nothing_to_verify"]:
        first = "Nothing to verify: no batch and no derived record is within what was asked for."
    elif report["proved"]:
        first = f"Proved: {compared} follow byte for byte from their inputs; {batches} were run again."
    else:
        first = f"NOT proved: {_why_not(report)}; {compared} compared, {report['equal']} equal, {batches} run again."
    found = [first]
    if report["seals_checked"] is None:
        found.append("Seals were not checked: this gateway has no seal key.")
    else:
        found.append(f"{_count(report['seals_checked'], 'seal')} checked.")
    if report["unread"]:
        found.append(f"{_count(report['unread'], 'input')} of the last minute may still be read.")
    found += [f"Not verifiable: {_count(count, 'record')}: {why}." for why, count in report["not_verifiable"].items()]
    return found


def _why_not(report: Mapping[str, Any]) -> str:
    parts = [f"{kind} {count}" for kind, count in report["counts"].items() if count]
    unknown = sum(report["not_verifiable"].values())
    return ", ".join([*parts[:_SHOWN], *([f"not verifiable {unknown}"] if unknown else [])]) or "something was found"


def what_if(report: Mapping[str, Any]) -> list[str]:
    """Return the result of `replay what-if --json`: what would have been otherwise."""
    return [*report["sentences"], f"The other policy is {report['policy'][:12]}."]


def chains(report: Mapping[str, Any]) -> list[str]:
    """Return the result of `audit verify --json`."""
    walked = f"{_count(report['records'], 'record')} in {_count(report['chains'], 'chain')}"
    if not report["records"]:
        return ["Nothing to verify: neither audits nor the journal hold a record."]
    if not report["sound"]:
        return [f"BROKEN: {walked} followed, and the first finding is: {_finding(report['first'])}."]
    end = [] if report["checkpoints"] else ["There is no checkpoint, so a rewritten end would not be noticed."]
    return [f"Sound as far as it was checked: {walked}.", "Signatures were not checked: no public key is given.", *end]


def _finding(first: Mapping[str, Any]) -> str:
    place = f"{first.get('topic')}/{first.get('partition')} at {first.get('offset')}"
    detail = first.get("told") or "broken"
    return f"{place}: {detail}"


def _count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    >>> _count(1, "seal"), _count(2, "batch", "batches")
    ('1 seal', '2 batches')
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
