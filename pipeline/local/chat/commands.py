"""What a line is: a prompt, or a command that begins with a slash. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from endocrine.schemas.vocabulary import Signal

HELP = """\
/signal NAME LEVEL   the next turn carries this signal, level 0 to 1; /signal alignment_risk 0.7 makes it strict
/rate 1..5           rate the last answer
/why                 every step behind the last answer's parameters
/approve CALL        let a tool call run that waits for a person; /deny CALL: do not
/quit                end (so does the end of input, or Ctrl-C)"""
COMMANDS = ("signal", "rate", "why", "approve", "deny", "quit", "help")


class Record(NamedTuple):
    """Something to send."""

    topic: str
    value: Mapping[str, Any]
    notice: str
    """Shown once it is sent."""


class Wrong(ValueError):
    """The command cannot be done. The message says what was expected."""


def signal(arguments: list[str]) -> dict[str, Any]:
    """Return the inline signal of `/signal NAME LEVEL`."""
    names = get_args(Signal)
    if len(arguments) != 2 or arguments[0] not in names:
        raise Wrong(f"/signal NAME LEVEL, where NAME is one of {', '.join(names)}")
    try:
        level = float(arguments[1])
    except ValueError:
        level = -1.0
    if not 0 <= level <= 1:
        raise Wrong(f"/signal {arguments[0]} {arguments[1]!r}: the level is a number from 0 to 1")
    return {"name": arguments[0], "level": level, "source": "chat"}


def rating(arguments: list[str], audit_id: str | None) -> Record:
    """Return the feedback card of `/rate N`."""
    if len(arguments) != 1 or arguments[0] not in ("1", "2", "3", "4", "5"):
        raise Wrong("/rate N, where N is 1 to 5")
    if audit_id is None:
        raise Wrong("/rate: there is no answer yet to rate")
    value = {"target_action_id": audit_id, "rating": int(arguments[0])}
    return Record("feedback", value, f"rated {arguments[0]}; it nudges the style of later answers")


def approval(command: str, arguments: list[str]) -> Record:
    """Return the operator command of `/approve CALL` or `/deny CALL`."""
    if len(arguments) != 1:
        raise Wrong(f"/{command} CALL, where CALL is the id that was shown")
    return Record("commands", {"kind": command, "by": "chat", "call_id": arguments[0]}, f"{command}: {arguments[0]}")
