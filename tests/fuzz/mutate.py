"""Mutations of one good record, by name. Each is a fault of a kind that was seen, or might be."""

import copy
import json
import random
from collections.abc import Callable

import orjson
from shapes import Hostile
from wire import Header

Mutation = Callable[[random.Random, Hostile], Hostile]
_WEIRD = [
    None, True, 0, -1, 1e308, -0.0, 2**63, 2**64, 10**40, float("nan"), float("inf"), "", " ", "\x00", "\ud800",
    "\udfff", "a" * 70_000, "\u202e\u200b\U000e0041", "İ", "💥", [], {}, [[]], {"": ""}, {"$ref": "#"}, "1e999", "{",
    "&#" + "9" * 5000, "a" * 40 + "!", "٣", "line\nbreak\r\nx: y", "/etc/passwd", "{{7*7}}", "%s%n", "../" * 30,
]  # fmt: skip
_OFFSETS = [
    "0", "1", "-1", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "1e3", "NaN", "", " 7",
    "٣", "0x10", "4_2", "+5",
]  # fmt: skip
_AGENTS = [
    "modulation", "gating", "audit", "bonds", "feedback", "conversation", "tools", "model", "re-keyed", "nobody", "",
]  # fmt: skip
_LARGE = [70_000, 600_000, 1_100_000, 2_200_000, 3_900_000]
_NOT_JSON = [
    b"", b"{", b"\xff\xfe\x00", b"\x00" * 64, b'{"ts": NaN}', b"[" * 2000, b"[" * 200_000, b"null", b"7", b'"x"',
    b'{"a":1}{"a":2}', b"\x00\x00\x00\x00\x01{}", b'{"ts": 1e999}', b'{"a": "\\ud800"}', b"\xef\xbb\xbf{}",
]  # fmt: skip


def mutations() -> dict[str, Mutation]:
    """Every mutation by its name."""
    return dict(_ALL)


_ALL: dict[str, Mutation] = {}


def _named(name: str) -> Callable[[Mutation], Mutation]:
    def note(mutation: Mutation) -> Mutation:
        _ALL[name] = mutation
        return mutation

    return note


def _with(name: str, record: Hostile, *headers: Header) -> Hostile:
    # Whatever the headers hold, the record is answered or a dead letter: what must become of it stays sure.
    return record.but(name, headers=[*record.headers, *headers], expect=record.expect)


# ---- values ----


@_named("not-json")
def _not_json(rng: random.Random, record: Hostile) -> Hostile:
    return record.but("not-json", value=rng.choice(_NOT_JSON), expect="dead")


@_named("fields")
def _fields(rng: random.Random, record: Hostile) -> Hostile:
    value = orjson.loads(record.value or b"{}")
    for _ in range(rng.randint(1, 3)):
        where = value
        while isinstance(where, dict) and where and rng.random() < 0.5:
            inner = where[rng.choice(list(where))]
            if not isinstance(inner, dict):
                break
            where = inner
        if not isinstance(where, dict):
            break
        name = rng.choice([*where, "surplus", "__proto__", "\x00", "é" * 300])
        if rng.random() < 0.25:
            where.pop(name, None)
        else:
            where[name] = copy.deepcopy(rng.choice(_WEIRD))  # what is put in may be changed next
    return record.but(
        "fields", value=json.dumps(value, ensure_ascii=rng.random() < 0.8).encode("utf-8", "surrogatepass")
    )


@_named("misplaced")
def _misplaced(rng: random.Random, record: Hostile) -> Hostile:
    """What people wrote is in a refused place: an error that quotes it would carry it on."""
    value = orjson.loads(record.value or b"{}")
    texts = [name for name, content in value.items() if isinstance(content, str) and "canary" in content]
    texts = texts or [name for name, content in value.items() if isinstance(content, str)] or ["id"]
    name = rng.choice(texts)
    content = value.get(name, "x")
    changed = rng.choice(
        [{name: [content]}, {name: {"text": content}}, {name + "s": content}, {"ts": content}, {"id": [content]}]
    )
    return record.but("misplaced", value=orjson.dumps(value | changed))


@_named("bytes")
def _bytes(rng: random.Random, record: Hostile) -> Hostile:
    value = bytearray(record.value or b"x")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(value) + 1)
        value[at : at + rng.randint(0, 3)] = bytes(rng.randrange(256) for _ in range(rng.randint(0, 3)))
    return record.but("bytes", value=bytes(value))


@_named("deep")
def _deep(rng: random.Random, record: Hostile) -> Hostile:
    value, depth = orjson.loads(record.value or b"{}"), rng.choice([30, 120, 300, 900])
    name = rng.choice(["arguments", "output", "value", "current_value", "policy", *value])
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
    value[name] = "DEEP"
    text = opening * depth + "1" + closing * depth
    return record.but("deep", value=json.dumps(value).replace('"DEEP"', text, 1).encode())


@_named("large-value")
def _large_value(rng: random.Random, record: Hostile) -> Hostile:
    value, size = orjson.loads(record.value or b"{}"), rng.choice(_LARGE)
    name = rng.choice(["prompt", "response", "note", "arguments", "output", "identity", "id", "audit_id", *value])
    value[name] = rng.choice(["a", "\x01", "é", "💥"]) * (size // 6)
    return record.but("large-value", value=orjson.dumps(value))


@_named("bomb")
def _bomb(rng: random.Random, record: Hostile) -> Hostile:
    """Unpacked larger than any topic's records; it is sent compressed (`generate.py`)."""
    return record.but("bomb", value=(record.value or b"{}") + b" " * rng.choice([1_100_000, 5_000_000, 20_000_000]))


@_named("tombstone")
def _tombstone(rng: random.Random, record: Hostile) -> Hostile:
    return record.but("tombstone", value=None)


@_named("future")
def _future(rng: random.Random, record: Hostile) -> Hostile:
    value = orjson.loads(record.value or b"{}")
    value["ts"] = rng.choice(
        [253_402_300_799.0, 253_402_300_800, 1e12, value.get("ts", 0) + rng.choice([290, 400, 86_400])]
    )
    return record.but("future", value=orjson.dumps(value))


@_named("past")
def _past(rng: random.Random, record: Hostile) -> Hostile:
    value = orjson.loads(record.value or b"{}")
    value["ts"] = rng.choice([0, 0.0, 1e-300, 1.0])
    return record.but("past", value=orjson.dumps(value))


# ---- keys and places ----


@_named("wrong-key")
def _wrong_key(rng: random.Random, record: Hostile) -> Hostile:
    key = rng.choice([None, b"", b"\xff\xfe", b"somebody", b"k" * 300, (record.key or b"") + b" ", b"\x00"])
    return record.but("wrong-key", key=key, expect=record.expect if record.expect == "modulated" else "")


@_named("large-key")
def _large_key(rng: random.Random, record: Hostile) -> Hostile:
    moved = (b"endocrine-rekeyed-from", f"{record.topic}/0/{rng.randrange(9)}".encode())
    headers = [*record.headers, *rng.choice([[], [moved]])]
    return record.but("large-key", key=rng.choice([b"k", b"\xff", b"\n"]) * rng.choice(_LARGE), headers=headers)


@_named("wrong-partition")
def _wrong_partition(rng: random.Random, record: Hostile) -> Hostile:
    return record.but("wrong-partition", partition=rng.randrange(2), expect=record.expect)


# ---- headers ----


@_named("header-names")
def _header_names(rng: random.Random, record: Hostile) -> Hostile:
    name = rng.choice(
        [b"\xff\xfe", b"", b"\x00", b"caf\xe9", b"a" * 70_000, b"x\r\ny: z", "ключ".encode(), b"\xed\xa0\x80"]
    )
    return _with("header-names", record, (name, rng.choice([b"x", None, b"\xff"])))


@_named("header-values")
def _header_values(rng: random.Random, record: Hostile) -> Hostile:
    name = rng.choice([b"ce_id", b"ce_source", b"ce_type", b"content-type", b"traceparent", b"tracestate", b"mine"])
    return _with(
        "header-values", record, (name, rng.choice([None, b"", b"\xff\xfe", b"\x00", b"x" * 300, b"\xed\xa0\x80"]))
    )


@_named("large-header")
def _large_header(rng: random.Random, record: Hostile) -> Hostile:
    name = rng.choice(
        [b"mine", b"traceparent", b"traceparent", b"ce_id", b"ce_source", b"endocrine-error", b"endocrine-origin"]
    )
    return _with("large-header", record, (name, b"h" * rng.choice(_LARGE)))


@_named("many-headers")
def _many_headers(rng: random.Random, record: Hostile) -> Hostile:
    name = rng.choice([b"same", b"ce_id", b"endocrine-origin", b"traceparent"])
    return _with("many-headers", record, *[(name, b"%d" % n) for n in range(rng.choice([2, 50, 20_000]))])


@_named("traceparent")
def _traceparent(rng: random.Random, record: Hostile) -> Hostile:
    good = b"00-%032x-%016x-01" % (rng.getrandbits(128), rng.getrandbits(64))
    bad = [
        b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00",
        good.upper(),
        good + b"x",
        good[:-1],
        b"traceparent",
        b"\xff" * 55,
    ]
    return _with("traceparent", record, (b"traceparent", rng.choice([good, *bad])))


@_named("id")
def _id(rng: random.Random, record: Hostile) -> Hostile:
    content = rng.choice([b"", b" ", b"same", b"same", b"\xff", b"i" * 257, b"i" * 70_000, b"modulation/x/0", b"\x00"])
    return _with("id", record, (b"ce_id", content))


@_named("forged-origin")
def _forged_origin(rng: random.Random, record: Hostile) -> Hostile:
    topic = rng.choice([record.topic, "interactions", "modulations", "no-such", "a/b"])
    parts = [
        rng.choice(_AGENTS),
        topic,
        rng.choice(["0", "1", "99", *_OFFSETS]),
        rng.choice(_OFFSETS),
        rng.choice(["0", *_OFFSETS]),
    ]
    content = "/".join(parts[: rng.choice([1, 3, 5, 5, 5, 5])])
    return _with("forged-origin", record, (b"endocrine-origin", content.encode()))


@_named("forged-rekeyed")
def _forged_rekeyed(rng: random.Random, record: Hostile) -> Hostile:
    content = f"{rng.choice([record.topic, 'signals', 'x'])}/{rng.choice(['0', '1', '7'])}/{rng.choice(_OFFSETS)}"
    return _with("forged-rekeyed", record, (b"endocrine-rekeyed-from", content.encode()))


@_named("forged-seal")
def _forged_seal(rng: random.Random, record: Hostile) -> Hostile:
    seal = rng.choice(
        [b"", b"k1/" + b"0" * 32, b"\xff" * 16, b"0" * 70_000, b"fuzz/%032x" % rng.getrandbits(128), None]
    )
    seals: list[Header] = [(b"endocrine-seal", seal)] * rng.choice([1, 1, 2])
    origin = (b"endocrine-origin", b"gating/tool-calls/0/%d/0" % rng.randrange(1000))
    return _with("forged-seal", record, *seals, *rng.choice([[], [origin]]))


@_named("forged-others")
def _forged_others(rng: random.Random, record: Hostile) -> Hostile:
    names = [
        b"endocrine-cut",
        b"endocrine-policy",
        b"endocrine-version",
        b"endocrine-error",
        b"endocrine-error-kind",
        b"endocrine-x",
    ]
    contents = [b"", b"gating/0/99999999999999999999999", b"0" * 64, b"\xff", None, b"gating/0/1"]
    return _with("forged-others", record, *[(rng.choice(names), rng.choice(contents)) for _ in range(3)])


@_named("structured")
def _structured(rng: random.Random, record: Hostile) -> Hostile:
    event = {
        "specversion": "1.0", "id": "e-1", "source": "/fuzz", "type": f"endocrine.{record.topic}.v1",
        "datacontenttype": "application/json", "data": orjson.loads(record.value or b"{}"),
    }  # fmt: skip
    content = rng.choice(
        [
            b"application/cloudevents+json",
            b"application/cloudevents+json; charset=UTF-8",
            b"application/CloudEvents-batch+json",
        ]
    )
    return record.but("structured", value=orjson.dumps(event), headers=[(b"content-type", content)])
