"""Any good record survives its way through bytes: what is read back and written again is the same bytes."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import decode
from endocrine.schemas.vocabulary import Intent, Mode, Signal
from properties import examples

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
ts = st.floats(0, 4e9)
count = st.integers(0, 2**53 - 1)
number = st.floats(allow_nan=False, allow_infinity=False)
share = st.floats(0, 1)
scalar = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | number | text
json = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
bag = st.dictionaries(text, json, max_size=3)
digest = st.from_regex(r"\A[0-9a-f]{64}\Z")


def one_of(vocabulary):
    return st.sampled_from(vocabulary.__args__)


def record(required, **optional):
    return st.fixed_dictionaries(required, optional=optional)


tool_name = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)
inline = record({"name": one_of(Signal), "level": number}, ttl_ms=count, source=name)
RECORDS = {
    "opened": (
        "interactions",
        record(
            {"kind": st.just("opened"), "audit_id": name, "identity": name, "session_id": name, "turn": count}
            | {"client": name, "prompt": name, "ts": ts},
            id=name,
            project=name,
            context_pack=text,
            respond=st.booleans(),
            signals=st.lists(inline, max_size=3),
        ),
    ),
    "closed": (
        "interactions",
        record(
            {"kind": st.just("closed"), "audit_id": name, "identity": name, "response": text, "ts": ts},
            memories_used=st.lists(json, max_size=2),
            usage=record({"input_tokens": count, "output_tokens": count}),
        ),
    ),
    "signal": (
        "signals",
        record(
            {"identity": name, "name": one_of(Signal), "level": number, "ttl_ms": count, "source": name, "ts": ts},
            audit_id=name,
        ),
    ),
    "observation": (
        "observations",
        record(
            {"primitive": name, "confidence": share, "source": name, "identity_ref": name, "ts": ts, "id": name}
            | {
                "value": text
                | st.booleans()
                | count
                | number
                | st.lists(text)
                | st.lists(count)
                | st.lists(number)
                | bag,
                "window": st.tuples(ts, ts).map(lambda ends: {"start_ts": min(ends), "end_ts": max(ends)}),
                "v": st.just(1),
            },
            evidence_ref=st.none() | text,
        ),
    ),
    "tool call": (
        "tool-calls",
        record(
            {"call_id": name, "audit_id": name, "identity": name, "tool": text, "arguments": bag | text}
            | {"step": count, "ts": ts}
        ),
    ),
    "card": (
        "feedback",
        record(
            {"identity": name, "target_action_id": name, "rating": st.integers(1, 5), "ts": ts},
            note=text,
            tags=st.lists(text, max_size=2),
            symbols=st.lists(one_of(Intent), max_size=3),
        ),
    ),
    "modulation": (
        "modulations",
        record(
            {"audit_id": name, "identity": name, "revision": count, "admitted": st.booleans(), "refusal": st.none()}
            | {"review": st.just("none"), "mode": one_of(Mode), "prompt_style": text, "policy": digest, "ts": ts}
            | {
                "parameters": record(
                    {"temperature": share, "top_p": st.floats(0.1, 1), "max_output_tokens": st.integers(256, 2048)}
                    | {"reasoning_effort": share, "retrieval_k": st.integers(2, 10), "planner_beam": st.integers(1, 6)}
                    | {"memory_write": st.floats(0.1, 1), "safety_mode": one_of(Mode)}
                    | {"tool_allowlist": st.lists(tool_name, unique=True)}
                ),
                "signals": st.just([]),
                "lineage": st.dictionaries(
                    name,
                    st.lists(record({"step": text, "by": text, "from": json, "to": json}), max_size=2),
                    max_size=2,
                ),
            }
        ),
    ),
    "bond": (
        "bonds",
        record(
            {"user_id": name},
            phase=text,
            turn_count=count,
            peak_nodes=st.dictionaries(text, number, max_size=3),
            notes=st.lists(text, max_size=20),
            last_updated=number,
        ),
    ),
    "bond event": (
        "bond-events",
        record({"identity": name, "timestamp": ts, "event_type": st.just("risk_change"), "detail": text, "data": bag}),
    ),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_that_is_read_and_written_again_is_the_same_bytes(kind):
    topic, strategy = RECORDS[kind]

    @settings(max_examples=examples(60), deadline=None)
    @given(strategy)
    def holds(value):
        sent = orjson.dumps(value)
        read = decode(CATALOGUE[topic], sent, 1 << 20)
        written = read.model_dump(by_alias=True, exclude_unset=True) if isinstance(read, BaseModel) else read
        assert written == value
        again = decode(CATALOGUE[topic], orjson.dumps(written), 1 << 20)
        assert again == read
        assert orjson.dumps(written, option=orjson.OPT_SORT_KEYS) == orjson.dumps(value, option=orjson.OPT_SORT_KEYS)

    holds()
