"""`endocrine hook stop`: a coding assistant's Stop hook. Exit code 0 always; what happened is on standard error."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import typer

from endocrine.pipeline.cli.group import command_group

SEND_S = 10.0
"""Seconds that sending may take; the rest waits in the spool."""
MOST_INPUT = 4 << 20
"""Bytes of the hook's input that are read."""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group("Hooks of other programs.")
    group.command("stop")(stop)
    group.callback()(_hooks)
    app.add_typer(group, name="hook")


def _hooks() -> None:
    """Hooks of other programs."""


def stop() -> None:
    """Record the turn that a coding assistant has just ended; its JSON comes on standard input. Exit code 0 always."""
    if os.environ.get("ENDOCRINE_CAPTURE_DISABLED") == "1":
        return
    try:
        given = sys.stdin.buffer.read(MOST_INPUT)
        if given.strip():
            _stop(given)
    except Exception as error:  # never into the program that calls; its text may hold content
        _tell(f"failed: {type(error).__name__}")


def _stop(given: bytes) -> None:
    from endocrine.pipeline.data.hook import Skip, stopped_turn
    from endocrine.pipeline.data.ingest.run import shipped_rules

    found = stopped_turn(given, _transcript(given), shipped_rules().capture)
    if found.bad_lines:
        _tell(f"{found.bad_lines} lines of the transcript are no JSON objects")
    if isinstance(found, Skip):
        _tell(f"skipped: {found.reason}")
        return
    try:
        from endocrine_client import SyncEndocrine
    except ImportError:
        _tell("endocrine-client is not installed: pip install ./clients/python")
        return
    identity = os.environ.get("ENDOCRINE_IDENTITY") or "claude-user"
    # The prompt's own time: a second Stop of the turn is the same record.
    ts = time.time() if found.opened is None else found.opened
    opened = {"identity": identity, "session_id": found.session_id, "turn": found.turn, "client": "claude-code",
              "prompt": found.prompt, "project": _project(given), "ts": ts}  # fmt: skip
    with SyncEndocrine(close_s=SEND_S) as endocrine:
        endocrine.record(
            found.audit_id, opened, {"response": found.response, "reinforce": False, "ts": found.closed or ts}
        )
    counts = endocrine.counts
    if counts.delivered < counts.captured or counts.lost:
        reasons = "; ".join(counts.reasons) or "no answer in time"
        _tell(f"{counts.delivered} of 2 records sent, {counts.lost} lost, {counts.refused} refused: {reasons}")


def _project(given: bytes) -> str | None:
    """The project of the folder that the input names, by `capture.paths` of the policy file; None: there is none."""
    import orjson

    from endocrine.agents.capture.paths import project_at
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
    from endocrine.pipeline.process.settings import Settings

    try:
        cwd, file = orjson.loads(given).get("cwd"), Settings().policy
        # As shipped there are no paths: nothing is loaded for them.
        if file is None or not isinstance(cwd, str):
            return None
        return project_at(load_policy(file, os.environ).document.capture.paths, cwd)
    except (PolicyFileError, ValueError) as error:
        _tell(f"no project: the policy cannot be used: {type(error).__name__}")
        return None


def _transcript(given: bytes) -> Iterator[bytes]:
    """Lines of the transcript that the input names; none where it cannot be read."""
    import orjson

    path = None
    with suppress(orjson.JSONDecodeError, AttributeError):
        path = orjson.loads(given).get("transcript_path")
    if not isinstance(path, str):
        return
    try:
        with open(os.path.expanduser(path), "rb") as lines:
            yield from lines
    except (OSError, ValueError) as error:
        _tell(f"the transcript cannot be read: {type(error).__name__}")


def _tell(message: str) -> None:
    print(f"endocrine hook stop: {message}", file=sys.stderr)
