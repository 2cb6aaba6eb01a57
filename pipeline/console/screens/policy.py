"""The policy: which one is in force, which were, a draft checked and tried, and who may, publishes and rolls back."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.functions import functions_of
from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.row import Page, form_of
from endocrine.pipeline.console.screens.replays import COMMANDS, started
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.console.tasks import Task
from endocrine.pipeline.core.rollouts import Rollouts
from endocrine.pipeline.data import policy_rollout
from endocrine.pipeline.data.policy_differences import differences, sentences
from endocrine.pipeline.data.policy_drafts import checked
from endocrine.pipeline.data.policy_rollout import Plan, RolloutRefused
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.schemas.rollouts import PolicyRollout

SHOWN, LINES = 100, 500
"""Rollouts, and differences, that are shown."""
HOURS = (1, 6, 24, 168)
FOLLOWED_S = 5.0
"""Seconds that a page waits for its own gateway to follow what it published."""


async def policy(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show the policy in force, the rollouts so far, what one of them changed, and the form of a draft."""
    given = request.query_params.get("rollout", "")
    changed = None
    if given:
        entries = _rollouts(console).entries
        place = next((n for n, one in enumerate(entries) if str(one.number) == given), None)
        if place is None:
            raise Problem("not_found", "query rollout: no rollout has this number")
        changed = _changed(console, entries, place)
    return _page(console, request, visitor, changed=changed)


async def act(console: Console, request: Request, visitor: Visitor) -> Response:
    """Check a draft, try it on the past, publish it; promote a canary, roll back. Who did it is on record."""
    form = await form_of(request)
    action, text = str(form.get("action", "")), str(form.get("draft", "")).replace("\r\n", "\n")
    reason = str(form.get("reason", "")).strip()[:500] or None
    if action in ("promote", "rollback"):
        plan = policy_rollout.promote if action == "promote" else policy_rollout.roll_back
        return await _roll_out(console, visitor, plan, reason)
    if action not in ("check", "what-if", "publish", "canary"):
        expected = "expected check, what-if, publish, canary, promote or rollback"
        raise Problem("invalid", f"the form: {expected}", field="action")
    drafted, mistakes = await asyncio.to_thread(checked, text)
    shown: dict[str, Any] = {"draft": text, "mistakes": mistakes}
    if drafted is None:
        return _page(console, request, visitor, **shown)
    if action == "publish":
        return await _roll_out(console, visitor, policy_rollout.publish(drafted), reason)
    if action == "canary":
        return await _canary(console, visitor, drafted, _share(form), reason)
    shown |= {"drafted": drafted.digest, "differing": _lines(_now(console).resolved, drafted.resolved)}
    if action == "what-if":
        shown["tried"] = _tried(console, visitor, text, str(form.get("hours", "")))
    return _page(console, request, visitor, **shown)


def _page(console: Console, request: Request, visitor: Visitor, **more: Any) -> Response:
    compiled, rollouts = _now(console), _rollouts(console)
    on = {one["name"] for one in functions_of(compiled.document.tools.root, compiled)}
    tools = [
        {"name": name, "function": spec.function, "enabled": spec.function in on, "flag": spec.flag}
        for name, spec in compiled.document.tools.root.items()
    ]
    document = compiled.document.model_dump(mode="json")
    shown: dict[str, Any] = {"draft": "", "mistakes": [], "drafted": None, "differing": [], "tried": None}
    return console.page(
        request,
        visitor,
        "policy.html",
        title="Policy",
        digest=compiled.digest,
        canary=compiled.canary,
        in_force=rollouts.entries[-1] if rollouts.entries else None,
        standing=rollouts.standing(),
        refused=None if console.gateway.follower is None else console.gateway.follower.refused,
        rollouts=rollouts.entries[::-1][:SHOWN],
        ignored=rollouts.ignored,
        hours=HOURS,
        tools=tools,
        sections=[(name, part) for name, part in document.items() if name != "tools"],
        **{"changed": None} | shown | more,
    )


def _follower(console: Console) -> PolicyFollower:
    follower = console.gateway.follower
    if follower is None:
        raise Problem("broker_away", "this gateway does not follow rollouts")
    return follower


def _rollouts(console: Console) -> Rollouts:
    return _follower(console).rollouts


def _now(console: Console) -> Policy:
    return console.gateway.policy


def _changed(console: Console, entries: list[PolicyRollout], place: int) -> dict[str, Any]:
    base = _follower(console).base.resolved
    before = (entries[place - 1].policy if place else None) or base
    return {"entry": entries[place], "differing": _lines(before, entries[place].policy or base)}


def _lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    found = sentences(differences(before, after))
    more = [f"and {len(found) - LINES} more"] if len(found) > LINES else []
    return [*found[:LINES], *more]


def _share(form: Mapping[str, Any]) -> float:
    """The share of the form, in percent there."""
    try:
        share = float(str(form.get("share", ""))) / 100
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise Problem("invalid", "the form: expected a share above 0 and below 100 percent", field="share")
    return share


async def _canary(console: Console, visitor: Visitor, drafted: Policy, share: float, reason: str | None) -> Response:
    settings, base = console.gateway.settings, _follower(console).base
    if not _rollouts(console).standing():
        try:
            await policy_rollout.on_record(settings, load_seals(settings), base)
        except RolloutRefused as error:
            raise Problem("conflict", str(error)) from None
    return await _roll_out(console, visitor, policy_rollout.canary(drafted, share, base), reason)


async def _roll_out(console: Console, visitor: Visitor, plan: Plan, reason: str | None) -> Response:
    settings, follower = console.gateway.settings, _follower(console)
    try:
        entry = await policy_rollout.roll_out(
            settings, load_seals(settings), plan, by=visitor.caller.name, reason=reason
        )
    except RolloutRefused as error:
        raise Problem("conflict", str(error)) from None
    await follower.reached(entry.number, FOLLOWED_S)
    return RedirectResponse(Links("", []).to("policy", rollout=entry.number), 303, HEADERS)


def _tried(console: Console, visitor: Visitor, text: str, hours: str) -> Task:
    """A what-if of the last hours under a draft: a replay like the others, with progress and a stop."""
    if hours not in map(str, HOURS):
        raise Problem("invalid", f"the form: expected {', '.join(map(str, HOURS))} hours", field="hours")
    arguments = [*COMMANDS["what-if"], f"--from={time.time() - 3600 * int(hours):.3f}"]
    about = f"the draft over the last {'hour' if hours == '1' else f'{hours} hours'}"
    return started(console, visitor, "what-if", arguments, about=about, policy=text.encode())


PAGES = (
    Page("/policy", policy, menu="Policy"),
    Page("/policy", act, "operate", post=True),
)
