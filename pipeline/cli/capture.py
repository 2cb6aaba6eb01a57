"""`endocrine capture`: record turns that are over, by the client, with what every capturing door skips."""

import os
import sys
import time
from collections import Counter
from typing import Annotated

import typer

from endocrine.pipeline.cli.common import BROKEN, Json, fail, print_json

SEND_S = 10.0
"""Seconds that sending may take; the rest waits in the spool."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("capture")(capture)


def capture(
    file: Annotated[typer.FileBinaryRead, typer.Argument(metavar="[FILE|-]", help="JSON lines.")] = "-",  # type: ignore[assignment]
    identity: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose turns, where a line names nobody.")
    ] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Project, where a line names none.")] = None,
    reinforce: Annotated[
        bool, typer.Option("--reinforce/--no-reinforce", help="Whether memories that the answers agree with grow.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Record turns that are over: a line `{"prompt": ..., "response": ...}` each, with `identity`, `session_id`,
    `turn`, `project`, `client`, `model` and `ts` where they are known.

    The same line again is the same turn. Skipped, and counted: parse_error, no_prompt, meta, slash_command, short,
    no_response. Exit codes: 0 recorded, skipped, or turned off (ENDOCRINE_CAPTURE_DISABLED=1); 1 not all were taken,
    what could not be sent waits in the spool; 2 invalid arguments, or the client is not installed.
    """
    if os.environ.get("ENDOCRINE_CAPTURE_DISABLED") == "1":
        print("skipped: disabled", file=sys.stderr)
        return
    from endocrine.pipeline.data.capture import Skipped, captured_turn
    from endocrine.pipeline.data.ingest.run import shipped_rules

    try:
        from endocrine_client import SyncEndocrine
    except ImportError:
        fail("endocrine-client is not installed: pip install ./clients/python")
    rules, skipped, recorded = shipped_rules().capture, Counter[str](), 0
    whose = identity or os.environ.get("ENDOCRINE_IDENTITY") or None
    with SyncEndocrine(close_s=SEND_S) as endocrine:
        for line in file:
            if not line.strip():
                continue
            found = captured_turn(line, rules)
            if isinstance(found, Skipped):
                skipped[found.reason] += 1
                continue
            opened = {"identity": whose, "project": project, "client": "capture", "ts": time.time(), **found.opened}
            if opened["identity"] is None:
                fail("a line names no identity; name one with --identity or ENDOCRINE_IDENTITY")
            if opened["project"] is None:
                del opened["project"]
            closed = {"response": found.response, "ts": opened["ts"], **({} if reinforce else {"reinforce": False})}
            recorded += 1
            endocrine.record(found.audit_id, opened, closed)
    counts = endocrine.counts
    waiting = counts.captured - counts.delivered - counts.refused - counts.evicted
    if as_json:
        print_json({"recorded": recorded, "skipped": dict(skipped), "waiting": waiting, "refused": counts.refused,
                    "lost": counts.lost + counts.evicted})  # fmt: skip
    else:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(skipped.items()))
        print(f"{recorded} turns recorded, {skipped.total()} skipped{f' ({reasons})' if reasons else ''}")
    if waiting or counts.refused or counts.lost or counts.evicted:
        why = "; ".join(counts.reasons) or "no answer in time"
        fail(f"{waiting} records wait in the spool, {counts.refused} were refused, "
             f"{counts.lost + counts.evicted} lost: {why}", BROKEN)  # fmt: skip
