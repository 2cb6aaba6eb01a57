"""A turn as lines for the terminal: what was answered, under which parameters, with which tools, and why. Pure."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from endocrine.pipeline.local.chat.turn import Turn, Value

_SHOWN_REASONS = 6
_SHOWN_CHARS = 160
_WIDE = ("temperature", "top_p", "max_output_tokens", "reasoning_effort", "retrieval_k", "planner_beam", "memory_write")


class Line(NamedTuple):
    """A line and how it looks (a style of rich)."""

    text: str
    style: str = ""


_MODES = {"strict": "bold red", "balanced": "bold green", "creative": "bold magenta"}


def turn_lines(turn: Turn) -> Iterator[Line]:
    """Yield the closed turn, whole."""
    yield from badge(turn)
    yield from _tools(turn)
    yield from _incidents(turn)
    yield from _model(turn)
    reasons = list(why(turn))
    for line in reasons[:_SHOWN_REASONS]:
        yield Line(f"  why: {line}", "dim")
    if len(reasons) > _SHOWN_REASONS:
        yield Line(f"  why: {len(reasons) - _SHOWN_REASONS} more; /why shows all", "dim")
    if turn.closed is not None:
        finish = turn.closed.get("finish")
        if finish not in (None, "answered"):
            yield Line(f"  the turn ended: {finish}", "yellow")
        yield Line(turn.closed["response"] or "(no answer)", "bold")


def badge(turn: Turn) -> Iterator[Line]:
    """Yield mode and parameters, as the turn ended."""
    if not turn.modulations:
        return
    last = turn.modulations[-1]
    modes: list[str] = []
    for one in turn.modulations:
        if not modes or modes[-1] != one["mode"]:
            modes.append(one["mode"])
    revision = f", revision {last['revision']}" if last["revision"] else ""
    refused = "" if last["admitted"] else f", refused: {last['refusal']}"
    review = ", a person should look" if last["review"] == "suggested" else ""
    yield Line(f"[{' -> '.join(modes)}]{revision}{refused}{review}", _MODES[last["mode"]])
    parameters = last["parameters"]
    yield Line("  " + ", ".join(f"{name} {_number(parameters[name])}" for name in _WIDE), "dim")
    tools = ", ".join(parameters["tool_allowlist"]) or "none"
    yield Line(f"  prompt style {last['prompt_style']}; tools allowed: {tools}", "dim")
    dropped = sorted({name for request in turn.requests for name in request["dropped"]})
    if dropped:
        yield Line(f"  not taken by the model, left out: {', '.join(dropped)}", "dim")


def _tools(turn: Turn) -> Iterator[Line]:
    for call_id, call in turn.calls.items():
        decisions = turn.decisions.get(call_id, [])
        decision = decisions[-1] if decisions else None
        name = call["tool"]
        if decision is None:
            yield Line(f"  tool {name}: no decision, so it did not run", "yellow")
        elif decision["decision"] == "allowed":
            yield Line(f"  tool {name}: allowed; {_result(turn.results.get(call_id))}", "cyan")
        elif decision["decision"] == "pending":
            yield Line(f"  tool {name}: waits for a person: /approve {call_id} or /deny {call_id}", "yellow")
        else:
            yield Line(f"  tool {name}: denied, {decision['reason']}", "red")


def _result(result: Value | None) -> str:
    if result is None:
        return "no result came"
    arguments = f" ({result['args_summary']})" if result["args_summary"] else ""
    return f"{result['status']} in {_number(result['duration_ms'])} ms{arguments}"


def _incidents(turn: Turn) -> Iterator[Line]:
    for incident in turn.incidents:
        attempted = f" {incident['attempted']}" if incident["attempted"] else ""
        yield Line(f"  incident {incident['kind']}:{attempted} {incident['reason']}", "red")


def _model(turn: Turn) -> Iterator[Line]:
    if not turn.replies:
        return
    models = ", ".join(dict.fromkeys(reply["model"] for reply in turn.replies))
    usage = [reply["usage"] for reply in turn.replies if reply["usage"]]
    tokens = f"{sum(one['input_tokens'] for one in usage)} + {sum(one['output_tokens'] for one in usage)} tokens"
    spent = sum(reply["latency_ms"] for reply in turn.replies)
    count = f"{len(turn.replies)} call{'s' if len(turn.replies) > 1 else ''}"
    yield Line(f"  model {models}: {count}, {tokens}, {_number(spent)} ms", "dim")
    for reply in turn.replies:
        if reply["error"]:
            yield Line(f"  model {reply['status']}: {reply['error'][:_SHOWN_CHARS]}", "yellow")


def why(turn: Turn) -> Iterator[str]:
    """Yield why the parameters are as they are: signals looked at, then each step that changed something."""
    if not turn.modulations:
        return
    last = turn.modulations[-1]
    for signal in last["signals"]:
        yield f"{signal['name']} {_number(signal['level'])} from {signal['source']}: {signal['fate']}"
    for name, steps in last["lineage"].items():
        for step in steps:
            if step["step"] != "default" and step["from"] != step["to"]:
                by = "" if step["by"] == step["step"] else f" by {step['by']}"
                yield f"{name} {_value(step['from'])} -> {_value(step['to'])} ({step['step']}{by})"


def explained(turn: Turn | None) -> Iterator[Line]:
    """Yield the answer to `/why`; it says so where there is nothing to say."""
    if turn is None:
        yield Line("  nothing was asked yet", "dim")
    elif not turn.modulations:
        yield Line("  the parameters of this turn have not come", "dim")
    elif reasons := list(why(turn)):
        yield from (Line(f"  {reason}", "dim") for reason in reasons)
    else:
        yield Line("  no signal was looked at, and no step changed a parameter", "dim")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return _number(value)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
