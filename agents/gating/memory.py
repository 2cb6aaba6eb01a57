"""What the gate remembers of one identity: a JSON object of bounded size. All functions return new values.

turns:  {audit_id: turn}   open turns, oldest first
early:  {audit_id: force}  modulations whose turn was not seen opened yet, oldest first
closed: [audit_id]         recently closed turns, oldest first
calls:  {call: content}    calls decided or waiting, oldest first; short digests of which call, and of what it says
pending: [question]        calls that wait for a person, oldest first; with audit_id and expires
rates, circuits            agents.gating.limits
met                        agents.gating.sequences

turn:   {prompt_hmac, force, cut, waiting, answered?, met?, awaited?}
        force: null until the first modulation; cut: null, or the list the turn was cut to when a call was blocked;
        waiting: questions to be decided when the first modulation arrives
force:  {revision, mode, allowlist, refusal}
question: {call_id, function, valid, step, ts, person?, begins?, ends?}
        person: the arguments are such that the tool needs a person; begins, ends: names of sequence rules. All of them
        and valid are judged when the call arrives, so that arguments, which are content, are never stored
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from agents._shared.arguments import read_arguments
from agents.gating.rules import GatingRules
from schemas.modulations import Modulation
from schemas.tools import ToolCall

Json = dict[str, Any]

EMPTY: Mapping[str, Any] = {
    "turns": {},
    "early": {},
    "closed": [],
    "calls": {},
    "pending": [],
    "rates": {},
    "circuits": {},
    "met": {},
}


def latest(entries: Mapping[str, Any], most: int) -> Json:
    """The newest `most` entries, in their order."""
    return dict(list(entries.items())[-most:])


def without(entries: Mapping[str, Any], key: str) -> Json:
    """All entries but one."""
    return {k: v for k, v in entries.items() if k != key}


def force_of(modulation: Modulation) -> Json:
    """What of a modulation the gate holds a turn to."""
    return {
        "revision": modulation.revision,
        "mode": modulation.mode,
        "allowlist": list(modulation.parameters.tool_allowlist),
        "refusal": modulation.refusal,
    }


def is_newer(force: Json, known: Json | None) -> bool:
    """Whether a modulation replaces the one known: revisions only rise."""
    return known is None or bool(force["revision"] > known["revision"])


def allowlist_of(turn: Json) -> list[str]:
    """The canonical names in force: the modulation's, without what the gate cut. A cut is never undone."""
    cut = turn["cut"]
    return [tool for tool in turn["force"]["allowlist"] if cut is None or tool in cut]


def prompt_hmac(prompt: str, rules: GatingRules) -> str | None:
    """HMAC-SHA-256 of a prompt under the policy's key, hexadecimal; None where the policy has no key."""
    if rules.prompt_hmac_key is None:
        return None
    return hmac.new(rules.prompt_hmac_key.encode(), prompt.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def digests_of(call: ToolCall, rules: GatingRules) -> tuple[str, str]:
    """Which call it is, and what it says: two short digests. Producer ids are no part of what it says."""
    arguments: Any = call.arguments
    if not isinstance(arguments, str):
        arguments = read_arguments(arguments, rules.arguments_depth)  # too deep to be written: denied, whatever it says
    return _digest([call.audit_id, call.call_id]), _digest([call.tool, arguments, call.step, call.ts])


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=10).hexdigest()
