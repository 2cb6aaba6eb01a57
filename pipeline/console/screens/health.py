"""Whether the deployment can be proved and restored: chains, snapshots, backups, drills, keys; each with a word."""

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.reports import sentences
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.console.vault import DAY_S, KEY_DAYS, VERIFIED_DAYS, by_age


async def health(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show how old what is needed for a proof and for a restore is."""
    ops, now = console.operations, time.time()
    rules = ops.gateway.policy.document.backup
    backups, vault = await asyncio.gather(ops.backups.get(), ops.vault.get())
    found = vault.value
    verified = None if found is None or found.verified_at is None else (now - found.verified_at) / DAY_S
    snapshots = [] if found is None else found.snapshots
    keys = [] if found is None else [key for key in found.keys if visitor.may("operate") or key.kind != "API key"]
    here = [(task, next(iter(sentences(task)), "")) for task in ops.tasks.listed() if task.kind == "chains"]
    return console.page(
        request,
        visitor,
        "health.html",
        title="Health",
        vault=vault,
        verified_days=verified,
        verified_status=by_age(verified, *VERIFIED_DAYS),
        checkpoints=[] if found is None else [(*one, (now - one[2]) / DAY_S) for one in found.checkpoints],
        verified_here=here,
        snapshots=[(one, None if one.taken_at is None else (now - one.taken_at) / DAY_S) for one in snapshots],
        snapshot_folder=ops.settings.snapshots,
        backups=backups,
        backup_folder=ops.backup_folder,
        keys=keys,
        api_keys=0 if found is None else sum(key.kind == "API key" for key in found.keys),
        limits={"warn": rules.warn_days, "fail": rules.fail_days, "drill": rules.drill_days, "key": KEY_DAYS},
    )


PAGES = (Page("/health", health, menu="Health"),)
