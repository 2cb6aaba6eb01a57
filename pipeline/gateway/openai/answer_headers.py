"""The `endocrine-*` headers: ASCII that no value can break out of, each of at most MAX_BYTES."""

from collections.abc import Mapping
from typing import Any

import orjson

from endocrine.pipeline.gateway.openai.port import TurnHead

MAX_BYTES = 512
SAMPLING = ("temperature", "top_p", "max_output_tokens", "reasoning_effort", "seed")
"""Sampling parameters that headers show; stop sequences are text of the application."""


def header_text(text: str) -> str:
    """Return printable ASCII: anything else becomes `?`; cut at MAX_BYTES."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:MAX_BYTES]).strip()


def compact(values: Mapping[str, Any]) -> str:
    """Return sampling parameters as compact JSON; those that would go beyond MAX_BYTES are left out.

    >>> compact({"temperature": 0.2, "stop": ["x"]})
    '{"temperature":0.2}'
    """
    kept: dict[str, Any] = {}
    for name in SAMPLING:
        value = values.get(name)
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            continue
        if value is not None and len(orjson.dumps({**kept, name: value})) <= MAX_BYTES:
            kept[name] = value
    return orjson.dumps(kept).decode()


def head_headers(head: TurnHead) -> dict[str, str]:
    """Return what is known of a turn when headers go."""
    found = {
        "endocrine-audit-id": header_text(head.audit_id),
        "endocrine-mode": header_text(head.mode),
        "endocrine-policy": header_text(head.policy),
        "endocrine-revision": str(head.revision),
        "endocrine-asked": compact(head.asked),
        "endocrine-sent": compact(head.sent),
    }
    if head.would:
        found["endocrine-would"] = header_text(",".join(head.would))
    if head.not_offered:
        found["endocrine-not-offered"] = header_text(",".join(head.not_offered))
    if head.advice is not None:
        found["endocrine-advice"] = header_text(head.advice)
    if head.timing_ms:
        found["server-timing"] = header_text(", ".join(f"{hop};dur={ms:.1f}" for hop, ms in head.timing_ms.items()))
    return found


def metadata_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return facts as `metadata` of a response: texts of at most 512 characters under `endocrine-...`."""
    return {
        f"endocrine-{name.replace('_', '-')}": (value if isinstance(value, str) else orjson.dumps(value).decode())[:512]
        for name, value in facts.items()
    }
