"""Recorded files, changed in ways that change nothing of what was said: the turns must stay the same."""

import json
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import examples

SEEDS = st.integers(0, 2**32)
OPTIONAL = frozenset(
    {
        "userType", "cwd", "version", "isSidechain", "usage", "requestId", "toolUseResult", "gitBranch",
        "title", "update_time", "default_model_slug", "status", "end_turn", "weight", "channel", "children", "name",
        "summary", "account", "updated_at", "start_timestamp", "stop_timestamp", "citations", "file_size", "kind",
        "resource", "scope", "finish_reason", "width", "height", "size_bytes", "decoding_id",
    }
)  # fmt: skip
"""Fields that a version of a tool leaves out, and that no turn depends on."""
UNKNOWN_ENTRIES = [
    {"type": "progress", "data": {"type": "hook_progress"}},
    {"type": "file-history-snapshot", "messageId": "x", "snapshot": {}},
    {"type": "made-up-kind", "sessionId": "5e55-0001", "payload": {"role": "user", "content": "never said"}},
    {"type": "system", "subtype": "turn_duration", "sessionId": "5e55-0001"},
    {"type": "attachment", "attachment": {"type": "task_reminder", "content": []}, "sessionId": "5e55-0001"},
]


def shuffled(value, dice, drop=True):
    """The same value with keys in another order, some optional fields left out and unknown ones put in."""
    if isinstance(value, list):
        return [shuffled(item, dice, drop) for item in value]
    if not isinstance(value, dict):
        return value
    items = [
        (key, item if key == "mapping" and not drop else shuffled(item, dice, drop))
        for key, item in value.items()
        if not (drop and key in OPTIONAL and item is not True and dice.random() < 0.5)
    ]
    if "mapping" not in value and not all(isinstance(item, dict) for _, item in items):
        items += [(f"x_unknown_{dice.randrange(99)}", dice.choice([None, 1, "new", [], {}]))] * dice.randrange(2)
    dice.shuffle(items)
    return dict(items)


def told(got):
    """What was said, by whom and when; without ids, which may depend on the bytes."""
    answers = {v["audit_id"]: (v["response"], v["ts"]) for v in got.values if v["kind"] == "closed"}
    return [
        (v["session_id"], v["turn"], v["prompt"], v.get("model"), v["ts"], answers.get(v["audit_id"]))
        for v in got.values
        if v["kind"] == "opened"
    ]


@settings(max_examples=examples(60), deadline=None)
@given(seed=SEEDS)
def test_a_transcript_with_other_entries_keys_and_noise_has_the_same_turns(read, data, seed):
    dice = random.Random(seed)
    raw = (data / "transcript.jsonl").read_bytes()
    mutated = []
    for line in raw.splitlines():
        while dice.random() < 0.3:
            mutated.append(orjson.dumps(dice.choice(UNKNOWN_ENTRIES)))
        made = json.dumps(shuffled(json.loads(line), dice), ensure_ascii=dice.random() < 0.5).encode()
        noise = b"\0" * dice.choice([0, 0, 1, 50])
        mutated.append(dice.choice([noise + made, made + noise, made]))
        if dice.random() < 0.2:
            mutated.append(mutated[-1])  # a copy of the row
    ends = dice.choice([b"\n", b"\r\n", b"\n\n"])
    got = read(ends.join(mutated), "claude-transcript")
    assert told(got) == told(read(raw, "claude-transcript"))
    assert got.refusals == []


@settings(max_examples=examples(40), deadline=None)
@given(seed=SEEDS)
@pytest.mark.parametrize(("file", "form"), [("conversations.json", "chatgpt-export"), ("claude.json", "claude-export")])
def test_an_export_with_other_keys_order_and_layout_has_the_same_turns(read, data, file, form, seed):
    dice = random.Random(seed)
    raw = (data / file).read_bytes()
    conversations = [shuffled(one, dice) for one in json.loads(raw)]
    for one in conversations:
        for node in one.get("mapping", {}).values():
            node.pop("children", None)
    dice.shuffle(conversations)
    whole = {"conversations": conversations} if dice.random() < 0.3 else conversations
    made = json.dumps(whole, indent=dice.choice([None, 1, 4]), ensure_ascii=dice.random() < 0.5).encode()
    assert told(read(made, form)) == told(read(raw, form))


@settings(max_examples=examples(40), deadline=None)
@given(seed=SEEDS)
def test_spans_in_another_order_and_with_other_keys_have_the_same_turns(read, data, seed):
    dice = random.Random(seed)
    raw = (data / "spans.jsonl").read_bytes()
    lines = []
    for line in map(json.loads, raw.splitlines()):
        for resource in line.get("resourceSpans", []):
            for scope in resource["scopeSpans"]:
                dice.shuffle(scope["spans"])
                for span in scope["spans"]:
                    dice.shuffle(span["attributes"])
        lines.append(orjson.dumps(line))
    lines += [b'{"name":"GET /","context":{"trace_id":"0xff","span_id":"0x1"},"attributes":{}}'] * dice.randrange(2)
    dice.shuffle(lines)
    turns = [
        (session, prompt, model, ts, answer) for session, _, prompt, model, ts, answer in told(read(raw, "otel-genai"))
    ]
    got = read(b"\n".join(lines), "otel-genai")
    assert [(s, p, m, t, a) for s, _, p, m, t, a in told(got)] == turns


@settings(max_examples=examples(60), deadline=None)
@given(share=st.floats(0, 1), run=st.integers(1, 200), seed=SEEDS)
@pytest.mark.parametrize(("file", "form"), [("transcript.jsonl", "claude-transcript"), ("spans.jsonl", "otel-genai")])
def test_a_run_of_nul_bytes_anywhere_invents_no_turn_and_costs_few(read, data, file, form, share, run, seed):
    raw = (data / file).read_bytes()
    whole = read(raw, form)
    at = int(len(raw) * share)
    got = read(raw[:at] + b"\0" * run + raw[at:], form)
    assert got.prompts == whole.prompts or set(got.prompts) < set(whole.prompts)
    assert len(got.prompts) >= len(whole.prompts) - 1
    assert got.refusals or got.noted.get("NUL bytes")


@settings(max_examples=examples(60), deadline=None)
@given(cut=st.floats(0, 1))
def test_a_transcript_cut_off_anywhere_keeps_the_turns_before_the_cut(read, data, cut):
    raw = (data / "transcript.jsonl").read_bytes()
    whole = read(raw, "claude-transcript")
    got = read(raw[: int(len(raw) * cut)], "claude-transcript")
    assert got.prompts == whole.prompts[: len(got.prompts)]
    assert all(full.startswith(part) for part, full in zip(got.responses, whole.responses, strict=False))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=5,
)


def holes(value, dice, fill):
    """The value with one of its parts replaced."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(list(value))
        return value | {key: holes(value[key], dice, fill)}
    if isinstance(value, list) and value and dice.random() < 0.8:
        place = dice.randrange(len(value))
        return [*value[:place], holes(value[place], dice, fill), *value[place + 1 :]]
    return fill


@settings(max_examples=examples(100), deadline=None)
@given(seed=SEEDS, fill=ANY)
@pytest.mark.parametrize(
    ("file", "form"),
    [
        ("transcript.jsonl", "claude-transcript"),
        ("spans.jsonl", "otel-genai"),
        ("claude.json", "claude-export"),
        ("conversations.json", "chatgpt-export"),
    ],
)
def test_no_wrong_value_in_any_place_breaks_the_reader(read, data, file, form, seed, fill):
    dice = random.Random(seed)
    raw = (data / file).read_bytes()
    if file.endswith(".jsonl"):
        lines = raw.splitlines()
        place = dice.randrange(len(lines))
        lines[place] = json.dumps(holes(json.loads(lines[place]), dice, fill)).encode()
        read(b"\n".join(lines), form)
    else:
        read(json.dumps(holes(json.loads(raw), dice, fill)).encode(), form)
