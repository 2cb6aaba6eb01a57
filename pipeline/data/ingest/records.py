"""A turn becomes an opened and a closed interaction, or is skipped for a reason (rules section 7)."""

import hashlib
from collections import Counter
from typing import Any

import orjson
from pydantic import ValidationError

from endocrine.agents.capture.filters import cut_response, skip_reason
from endocrine.agents.capture.heuristics import signals_of
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.ingest.explain import explain
from endocrine.pipeline.data.ingest.model import Options, Pieces, Record, Refused, Skipped, Turn

TOPIC = "interactions"
ID_DIGITS = 32
"""Hexadecimal digits of SHA-256 in an audit_id: 128 bits."""


class Recorder:
    """Makes records of the turns of one input; knows which it has seen and counts turns per session."""

    def __init__(self, client: str, identity: str, options: Options) -> None:
        """client: the format's name. identity: whose turns they are where neither options nor input say."""
        self.client, self.identity, self.options = client, identity, options
        self.seen: set[str] = set()
        self.numbers: Counter[str] = Counter()

    def records(self, turn: Turn) -> Pieces:
        """Return the records of a turn. Ids depend on format, identity and place in the source, on nothing else."""
        rules = self.options.rules
        reason = "no_text" if not turn.prompt.strip() else skip_reason(turn.prompt, rules.capture)
        if reason:
            yield Skipped(reason)
            return
        identity = self.options.identity or turn.identity or self.identity
        named = "\0".join((self.client, identity, turn.source_id)).encode("utf-8", "surrogatepass")
        audit_id = f"{self.client}-{hashlib.sha256(named).hexdigest()[:ID_DIGITS]}"
        if audit_id in self.seen:
            yield Skipped("duplicate")
            return
        self.seen.add(audit_id)
        values = [self._opened(turn, audit_id, identity)]
        if turn.response.strip():
            values.append(self._closed(turn, audit_id, identity))
        problem = next((p for value in values if (p := self._problem(value))), None)
        if problem:
            yield Refused(turn.where, problem)
            return
        self.numbers[turn.session_id] += 1
        for value in values:
            yield Record(turn.where, TOPIC, value)

    def _opened(self, turn: Turn, audit_id: str, identity: str) -> dict[str, Any]:
        rules = self.options.rules
        signals = [
            {"name": name, "level": level, "ttl_ms": rules.ttl_ms, "source": rules.source}
            for name, level in signals_of(turn.prompt, rules)
        ]
        return {
            "id": f"{audit_id}-opened",
            "kind": "opened",
            "audit_id": audit_id,
            "identity": identity,
            "session_id": turn.session_id,
            "turn": self.numbers[turn.session_id],
            "client": self.client,
            **({"project": self.options.project} if self.options.project else {}),
            **({"model": turn.model} if turn.model else {}),
            "prompt": turn.prompt,
            **({"signals": signals} if signals else {}),
            "ts": turn.opened_ts,
        }

    def _closed(self, turn: Turn, audit_id: str, identity: str) -> dict[str, Any]:
        return {
            "id": f"{audit_id}-closed",
            "kind": "closed",
            "audit_id": audit_id,
            "identity": identity,
            "response": cut_response(turn.response, self.options.rules.capture),
            "reinforce": False,  # an old answer proves no memory right
            "ts": turn.closed_ts,
        }

    def _problem(self, value: dict[str, Any]) -> str | None:
        try:
            CATALOGUE[TOPIC].adapter.validate_python(value)
            size = len(orjson.dumps(value))
        except ValidationError as error:
            return f"makes no interaction: {explain(error, 'interaction')}"
        except orjson.JSONEncodeError as error:
            return f"makes no JSON ({error}); expected valid Unicode text"
        limit = self.options.max_record_bytes
        return f"makes a record of {size} bytes; expected at most {limit} (ENDOCRINE_MAX_RECORD_BYTES)" * (size > limit)
