"""What waits for a person: which entries are meant, and what each is about, read from Kafka."""

from collections.abc import Callable, Sequence
from typing import Any

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.gateway.bundles import json_object
from endocrine.pipeline.gateway.places import RecordPosition, records_at
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis.waiting import Waiting

Json = dict[str, Any]
PolicyOf = Callable[[str], Policy]
"""The policy that an identity is decided under."""
KINDS = {"call": "tool call", "turn": "held turn"}


def fits(one: Waiting | None, kind: str | None, identity: str | None) -> Waiting | None:
    """Return an entry that is of this kind and identity; None: whichever."""
    return one if one is not None and kind in (None, one.kind) and identity in (None, one.identity) else None


def place_of(one: Waiting) -> RecordPosition | None:
    """Return where the call or the opening lies; None where the read models do not know."""
    at = one.call.get("call_at") if one.kind == "call" else (one.parts.get("opened") or {}).get("at")
    return None if at is None else ("tool-calls" if one.kind == "call" else "interactions", *at)


async def subjects_of(settings: Settings, policy_of: PolicyOf, waiting: Sequence[Waiting]) -> list[Any]:
    """Return what each is about: the arguments of a call as they would run, or the prompt of a turn; None where the
    read models do not know its place, or another record is there. Raises KafkaError, TimeoutError."""
    places = [place_of(one) for one in waiting]
    raws = await records_at(settings, [place for place in places if place is not None])
    found: list[Any] = []
    for one, place in zip(waiting, places, strict=True):
        raw = None if place is None else raws.get(place)
        value = (None if raw is None else json_object(raw.value)) or {}
        mine = value.get("audit_id") == one.audit_id and value.get("identity") == one.identity
        if not mine:
            found.append(None)
        else:
            found.append(arguments_of(policy_of, one, value) if one.kind == "call" else value.get("prompt"))
    return found


def arguments_of(policy_of: PolicyOf, one: Waiting, call: Json) -> Any:
    """Return the arguments that were decided on, and so those that would run; None where the record has others."""
    rules = policy_of(one.identity).document.gating
    arguments, digest = judged_arguments(call.get("arguments", ""), rules)
    return arguments if digest is not None and digest == one.call.get("arguments_digest") else None


def used_signals(one: Waiting) -> list[tuple[str, float]]:
    """Return the signals that a held turn was decided by: name and level."""
    modulation = one.parts.get("modulation") or {}
    return [(each["name"], each["level"]) for each in modulation.get("signals", ()) if each["fate"] == "used"]


def since(one: Waiting) -> float | None:
    """Return when it began to wait, event time; None where it is not known."""
    return one.call.get("ts") if one.kind == "call" else (one.parts.get("modulation") or {}).get("ts")
