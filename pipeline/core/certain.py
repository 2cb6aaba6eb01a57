"""Records that are valid at a glance: judged in a third of the time that the topic's model takes.

A function here returns what the model would make of decoded JSON, or None where it is not certain of that: then the
model judges, and what is wrong is for the model to say. Certain is what has all fields, no other, of the very types
that the model makes of them. Numbers that it would convert, lists and objects as values, and everything that may be
wrong are not.
"""

from typing import Any

_FIELDS = 9
"""Fields that an observation must have; it may have one more, `evidence_ref`."""
_LONGEST = 256


def observation(loaded: Any) -> dict[str, Any] | None:
    """Return an observation (endocrine.schemas.observations) as it is, its fields in the order in which they came.

    loaded: by orjson, which gives neither NaN nor infinities nor text that is no Unicode.
    """
    try:
        window = loaded["window"]
        start, end = window["start_ts"], window["end_ts"]
        primitive, identity, own_id = loaded["primitive"], loaded["identity_ref"], loaded["id"]
        value, confidence, ts = loaded["value"], loaded["confidence"], loaded["ts"]
        source, version = loaded["source"], loaded["v"]
    except (KeyError, TypeError):
        return None
    kind, size = value.__class__, len(loaded)
    if (
        (size == _FIELDS or (size == _FIELDS + 1 and _has_evidence(loaded)))
        and len(window) == 2
        and (kind is str or kind is float or kind is bool or kind is int)
        and primitive.__class__ is str
        and 0 < len(primitive) <= _LONGEST
        and identity.__class__ is str
        and 0 < len(identity) <= _LONGEST
        and own_id.__class__ is str
        and 0 < len(own_id) <= _LONGEST
        and source.__class__ is str
        and source
        and ts.__class__ is float
        and confidence.__class__ is float
        and 0.0 <= confidence <= 1.0
        and start.__class__ is float
        and end.__class__ is float
        and start <= end
        and version.__class__ is int
        and version == 1
    ):
        found: dict[str, Any] = loaded
        return found
    return None


def _has_evidence(loaded: dict[str, Any]) -> bool:
    return "evidence_ref" in loaded and (loaded["evidence_ref"] is None or loaded["evidence_ref"].__class__ is str)
