"""Functions over the state of one identity, which stays of bounded size. All return new values."""

from collections.abc import Mapping
from typing import TypeVar

from endocrine.agents.conversation.rules import Limits
from endocrine.agents.conversation.state import (
    EMPTY,
    Answered,
    ConversationState,
    EffectiveModulation,
    Given,
    Row,
    Turn,
)
from endocrine.schemas.interactions import Opened
from endocrine.schemas.modulations import Modulation

V = TypeVar("V")
_IN_FORCE = ("used", "capped", "clamped")


def is_empty(state: ConversationState) -> bool:
    """Return whether there is nothing worth remembering, so that the key need not be stored."""
    kept = (state["turns"], state["early"], state["others"], state["closed"], state["sessions"])
    return not any(kept) and state["budget"] == EMPTY["budget"]


def latest(entries: Mapping[str, V], most: int) -> dict[str, V]:
    """Return the newest `most` entries, in their order."""
    return dict(list(entries.items())[-most:])


def without(entries: Mapping[str, V], key: str) -> dict[str, V]:
    """Return all entries but one."""
    return {name: value for name, value in entries.items() if name != key}


def in_force(turn: Turn) -> EffectiveModulation:
    """Return the effective modulation of a turn that has gone on under one."""
    effective = turn["force"]
    assert effective is not None
    return effective


def effective_modulation(modulation: Modulation) -> EffectiveModulation:
    """Return what of a modulation a turn is held to. A signal held to its source's cap counts as 1.0, the most it may
    have been.
    """
    risks = [
        1.0 if signal.fate == "capped" else signal.level
        for signal in modulation.signals
        if signal.name == "alignment_risk" and signal.fate in _IN_FORCE
    ]
    effective: EffectiveModulation = {
        "revision": modulation.revision,
        "refusal": modulation.refusal or (None if modulation.admitted else "rate_limited"),
        "expires": modulation.expires,
        "mode": modulation.mode,
        "style": modulation.prompt_style,
        "risk": max(risks, default=0.0),
        "parameters": modulation.parameters.model_dump(mode="json"),
    }
    if modulation.application_tools is not None:
        effective["application_tools"] = modulation.application_tools
    return effective


def new_turn(
    opened: Opened,
    effective: EffectiveModulation | None,
    upto: int,
    until: float,
    model: str,
    limits: Limits,
    application: Given | None = None,
) -> Turn:
    """Return a turn that opens. The context is cut to its bound, with a mark; a prompt too long was refused before."""
    context = opened.context_pack or None
    if context is not None and len(context) > limits.context_chars:
        context = context[: limits.context_chars] + "[truncated]"
    turn: Turn = {
        "phase": "opening",
        "session": opened.session_id,
        "model": opened.model or model,
        "prompt": opened.prompt,
        "context": context,
        "upto": upto,
        "force": effective,
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
    if opened.context_used is not None:
        turn["used"] = {"memories": opened.context_used.memories, "chunks": opened.context_used.chunks}
    return turn if application is None else {"application": application, **turn}


def chars_of(turn: Turn, limits: Limits) -> int:
    """Return the characters that an open turn may hold at most."""
    application = turn.get("application")
    theirs = 0 if application is None else application["chars"] + application["granted"]
    used = turn.get("used")
    parts = 0 if used is None else sum(map(len, (*used["memories"], *used["chunks"])))
    return len(turn["prompt"]) + len(turn["context"] or "") + parts + limits.exchange_chars + theirs


def with_entry(
    sessions: Mapping[str, list[Row]], session: str, answered: Answered, limits: Limits
) -> dict[str, list[Row]]:
    """Return the sessions after a turn was answered: bounded in sessions, turns, characters; the oldest goes first."""
    share = limits.history_chars // 2
    entries = [*sessions.get(session, []), [answered.serial, answered.prompt[:share], answered.answer[:share]]]
    entries = entries[-limits.history_turns :] if limits.history_turns else []
    while sum(len(prompt) + len(answer) for _, prompt, answer in entries) > limits.history_chars:
        entries = entries[1:]
    return latest({**without(sessions, session), session: entries}, limits.sessions)
