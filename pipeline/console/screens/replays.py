"""Replays that are started here: proofs, what-if, the audit chains; a few at a time, each with progress and a stop."""

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.reports import sentences
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.console.tasks import Busy, Kind, Task
from endocrine.pipeline.gateway.bundles import turn_explained
from endocrine.pipeline.gateway.callers import checked_identity
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import keys_of, redis_of, time_of
from endocrine.pipeline.process.policy_files import MAX_BYTES
from endocrine.pipeline.replay.state_files import MANIFEST
from endocrine.pipeline.views.redis import views

SHOWN = 200
"""Changes and differences on one page."""
_SLACK_S = 5.0
"""Seconds by which the journal record of a batch may be later than its outputs."""
COMMANDS = {
    "verify": ("replay", "verify", "--json", "--progress-lines"),
    "prove": ("replay", "verify", "--json", "--progress-lines"),
    "what-if": ("replay", "what-if", "--json", "--progress-lines"),
    "chains": ("audit", "verify", "--json", "--progress-lines"),
}
"""What each runs."""
TITLES = {"verify": "Proof", "what-if": "What if", "chains": "Audit chains"}


async def listing(console: Console, request: Request, visitor: Visitor) -> Response:
    """List what was started, newest first."""
    tasks = console.operations.tasks.listed()
    shown = [(task, TITLES[task.kind], next(iter(sentences(task)), "")) for task in tasks]
    return console.page(
        request,
        visitor,
        "replays.html",
        title="Replays",
        tasks=shown,
        running=any(task.status == "running" for task in tasks),
        digest=console.gateway.policy.digest,
        longest_s=console.operations.settings.replay_s,
    )


async def one(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show one: its progress, or what it found."""
    task = _task(console, request.path_params["task"])
    return console.page(
        request,
        visitor,
        "replay.html",
        title=TITLES[task.kind],
        task=task,
        progress=task.progress(),
        sentences=sentences(task),
        **_detail(task, whole=visitor.may("content")),
    )


def _task(console: Console, name: str) -> Task:
    task = console.operations.tasks.get(name)
    if task is None:
        raise Problem("not_found", "no such replay; results are kept for the life of the gateway, the newest only")
    return task


def _detail(task: Task, *, whole: bool) -> dict[str, Any]:
    """Tables of a report. whole: with values of records, which may be content."""
    report = task.report or {}
    findings: list[str] = []
    if task.kind == "verify":
        by_kind = report.get("findings", {})
        findings = [f"{kind}: {sentence}" for kind, some in by_kind.items() for sentence in some]
    elif task.kind == "chains":
        findings = [
            ", ".join(f"{name} {value}" for name, value in found.items()) for found in report.get("findings", ())
        ]
    differences = report.get("differences", []) if whole else []
    return {
        "findings": findings[:SHOWN],
        "differences": differences[:SHOWN],
        "hidden": 0 if whole else len(report.get("differences", [])),
        "topics": sorted(report.get("topics", {}).items()),
        "fields": [
            (topic, path, number) for topic, paths in report.get("fields", {}).items() for path, number in paths.items()
        ][:SHOWN],
        "changes": report.get("changes", [])[:SHOWN],
        "more": max(0, len(report.get("changes", [])) - SHOWN),
    }


async def act(console: Console, request: Request, visitor: Visitor) -> Response:
    """Start a replay, or stop one."""
    form = await form_of(request)
    kind = str(form.get("replay", ""))
    if kind == "stop":
        task = _task(console, str(form.get("task", "")))
        console.operations.tasks.stop(task, visitor.caller.name)
        return _to(task)
    if kind not in COMMANDS:
        raise Problem("invalid", "the form: expected verify, what-if, chains, prove or stop", field="replay")
    asked = await _turn(console, form, visitor) if kind == "prove" else _asked(console, form)
    arguments = [*COMMANDS[kind], *(() if kind == "chains" else asked["arguments"])]
    if kind in ("verify", "prove"):
        arguments += _snapshots(console)
    task = started(
        console,
        visitor,
        "verify" if kind == "prove" else kind,  # type: ignore[arg-type]
        arguments,
        about="every chain" if kind == "chains" else asked["about"],
        policy=_policy(console, form) if kind == "what-if" else None,
        audit_id=asked.get("audit_id"),
    )
    return _to(task)


def started(console: Console, visitor: Visitor, kind: Kind, arguments: Sequence[str], **about: Any) -> Task:
    """Start a replay for a visitor; about: as `Tasks.start` takes it. Raises Problem: 422, 503 where as many run as
    may."""
    try:
        return console.operations.tasks.start(kind, arguments, by=visitor.caller.name, **about)
    except Busy as busy:
        raise Problem("overloaded", str(busy), headers={"retry-after": "60"}) from None
    except ValueError:
        raise Problem("invalid", "the identity holds a NUL, which no command takes", field="identity") from None


def _to(task: Task) -> Response:
    return RedirectResponse(Links("", []).to("replays", task.id), 303, HEADERS)


def _asked(console: Console, form: FormData) -> dict[str, Any]:
    """The stretch of time and the identity of a form, as options and for a person."""
    texts = {name: str(form.get(name, "")).strip() for name in ("since", "until", "identity")}
    given = {name: text for name, text in texts.items() if text}
    times = {name: time_of(given, name) for name in ("since", "until")}
    if times["since"] is not None and times["until"] is not None and times["since"] > times["until"]:
        raise Problem("invalid", "since: later than until", field="since")
    arguments, about = [], []
    for name, option, word in (("since", "--from", "from"), ("until", "--to", "to")):
        if (at := times[name]) is not None:
            arguments.append(f"{option}={at:.3f}")
            about.append(f"{word} {given[name]}")
    if "identity" in given:
        identity = checked_identity(console.gateway.names, given["identity"])
        arguments.append(f"--identity={identity}")
        about.insert(0, f"of {identity}")
    return {"arguments": arguments, "about": " ".join(about) or "the whole history"}


async def _turn(console: Console, form: FormData, visitor: Visitor) -> dict[str, Any]:
    """What is to be proved of a turn: its identity's records of the batches from its opening to its bundle."""
    gateway, audit_id = console.gateway, str(form.get("audit_id", ""))
    redis, named = redis_of(gateway), keys_of(gateway)
    parts = await views.turn(redis, named, audit_id)
    found = None if parts is None else await turn_explained(gateway, visitor.caller, parts)
    if found is None:
        raise Problem("not_found", "no such turn, or it has no bundle yet")
    opened = await redis.zscore(named.turns(), audit_id)
    begin = min(found.appended[0], found.appended[0] if opened is None else opened / 1000)
    identity = str(found.explained.bundle["identity"])
    arguments = [f"--identity={identity}", f"--from={begin:.3f}", f"--to={found.appended[1] + _SLACK_S:.3f}"]
    return {"arguments": arguments, "about": f"turn {audit_id} of {identity}", "audit_id": audit_id}


def _snapshots(console: Console) -> list[str]:
    """The folder of the setting, where it holds a snapshot: then a replay need not begin at the first record."""
    folder = console.operations.settings.snapshots
    if folder is None or (not any(folder.glob(f"*/{MANIFEST}")) and not (folder / MANIFEST).is_file()):
        return []
    return [f"--snapshot={folder}"]


def _policy(console: Console, form: FormData) -> bytes:
    """The policy of a form, or the one that this gateway has; both are laid over the shipped one."""
    content = str(form.get("policy", "")).encode("utf-8", "surrogatepass")
    if len(content) > MAX_BYTES:
        raise Problem("too_large", f"policy: more than {MAX_BYTES} bytes", field="policy")
    return content if content.strip() else orjson.dumps(dict(console.gateway.policy.resolved))


PAGES = (
    Page("/replays", listing, menu="Replays"),
    Page("/replays/{task}", one),
    Page("/replays", act, "operate", post=True),
)
