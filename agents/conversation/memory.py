"""What the conversation remembers of one identity: a JSON object of bounded size. Functions return new values.

now:      event time of the latest record that changed anything
turns:    {audit_id: turn}   turns we answer, oldest first
early:    {audit_id: force}  modulations whose turn was not seen opened yet, oldest first
others:   [audit_id]         open turns that the application answers itself, oldest first
closed:   [audit_id]         turns that ended recently, oldest first
sessions: {session_id: [[serial, prompt, answer]]}  answered turns, oldest first; the session used last stands last
serial:   number of the last entry in `sessions`
budget:   {start, spent, held}, see `endocrine.agents.conversation.budget`

turn: {application?, phase, session, model, prompt, context, upto, force, need, tighten, revision?, until, step, again,
       holds, stale, request, judges, calls, said?, snippets, exchange, room, strictly, concise, answer, cut, usage}
  application  what its application gave with it (endocrine.agents.conversation.application)
  phase     opening | retrieving | ready | asking | tools | judging
  upto      serial of the last entry of the session's history that this turn is told
  need      null, or the alignment_risk its modulation must show before the model is asked again
  tighten   true where the gate stopped a call: the next step waits for the strict revision
  revision  the revision that the gate named then, the least to wait for; absent before
  until     event time at which waiting for a modulation ends
  again     true where this step is asked a second time, after a veto
  holds     how often the turn lost what the model had made because it was held; names requests apart
  stale     true where the request that is out was made before the turn was held: its answer is not used
  request   null, or {id, held, until} of the model request that is out
  judges    {request_id: {what, held, until}} of verdicts that are out; what: input | output | guardian
  calls     tool calls of this step: {id, short, tool, arguments, decision, reason, result, until, digest?,
            runner?}; runner: application where that runs it
  said      text beside the calls of this step
  exchange  messages of the steps so far: the model's calls, and what came of them
  room      characters that tool outputs may still take
  strictly  true after a veto
  answer    the final text while it is judged; cut: it ended at the token limit
force: {revision, refusal, expires, mode, style, risk, parameters, application_tools?}; risk: alignment_risk in
       force, 0 without; expires: event time at which a held turn is no longer waited for, else null
"""

from collections.abc import Mapping
from typing import Any

from endocrine.agents.conversation.budget import START
from endocrine.agents.conversation.rules import Limits
from endocrine.schemas.interactions import Opened
from endocrine.schemas.modulations import Modulation

Json = dict[str, Any]
EMPTY: Mapping[str, Any] = {
    "now": 0.0,
    "turns": {},
    "early": {},
    "others": [],
    "closed": [],
    "sessions": {},
    "serial": 0,
    "budget": dict(START),
}
_IN_FORCE = ("used", "capped", "clamped")


def nothing_in(memory: Mapping[str, Any]) -> bool:
    """Whether there is nothing worth remembering, so that the key need not be stored."""
    kept = ("turns", "early", "others", "closed", "sessions")
    return not any(memory[name] for name in kept) and memory["budget"] == START


def latest(entries: Mapping[str, Any], most: int) -> Json:
    """The newest `most` entries, in their order."""
    return dict(list(entries.items())[-most:])


def without(entries: Mapping[str, Any], key: str) -> Json:
    """All entries but one."""
    return {name: value for name, value in entries.items() if name != key}


def force_of(modulation: Modulation) -> Json:
    """What of a modulation a turn is held to. A signal held to its source's cap counts as whatever it was to be."""
    risks = [
        1.0 if signal.fate == "capped" else signal.level
        for signal in modulation.signals
        if signal.name == "alignment_risk" and signal.fate in _IN_FORCE
    ]
    force = {
        "revision": modulation.revision,
        "refusal": modulation.refusal or (None if modulation.admitted else "rate_limited"),
        "expires": modulation.expires,
        "mode": modulation.mode,
        "style": modulation.prompt_style,
        "risk": max(risks, default=0.0),
        "parameters": modulation.parameters.model_dump(mode="json"),
    }
    theirs = modulation.application_tools
    return force if theirs is None else {**force, "application_tools": theirs}


def new_turn(
    opened: Opened,
    force: Json | None,
    upto: int,
    until: float,
    model: str,
    limits: Limits,
    application: Json | None = None,
) -> Json:
    """A turn that opens. The context is cut to its bound, with a mark; a prompt too long was refused before."""
    context = opened.context_pack or None
    if context is not None and len(context) > limits.context_chars:
        context = context[: limits.context_chars] + "[truncated]"
    return {
        **({} if application is None else {"application": application}),
        "phase": "opening",
        "session": opened.session_id,
        "model": opened.model or model,
        "prompt": opened.prompt,
        "context": context,
        "upto": upto,
        "force": force,
        "need": None,
        "tighten": False,
        "until": until,
        "step": 0,
        "again": False,
        "holds": 0,
        "stale": False,
        "request": None,
        "judges": {},
        "calls": [],
        "snippets": [],
        "exchange": [],
        "room": limits.exchange_chars,
        "strictly": False,
        "concise": False,
        "answer": None,
        "cut": False,
        "usage": [0, 0],
    }


def chars_of(turn: Json, limits: Limits) -> int:
    """Characters that an open turn may come to hold."""
    application = turn.get("application")
    theirs = 0 if application is None else application["chars"] + application["granted"]
    return len(turn["prompt"]) + len(turn["context"] or "") + limits.exchange_chars + theirs


def remembered(sessions: Json, session: str, serial: int, prompt: str, answer: str, limits: Limits) -> Json:
    """The sessions after a turn was answered: bounded in sessions, turns and characters, the oldest goes first."""
    share = limits.history_chars // 2
    entries = [*sessions.get(session, []), [serial, prompt[:share], answer[:share]]]
    entries = entries[-limits.history_turns :] if limits.history_turns else []
    while sum(len(asked) + len(said) for _, asked, said in entries) > limits.history_chars:
        entries = entries[1:]
    return latest({**without(sessions, session), session: entries}, limits.sessions)
