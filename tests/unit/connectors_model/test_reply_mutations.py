"""A stream that says the same in other words is the same reply; a damaged one is an error, never another reply."""

import copy
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.connectors.model.failures import Failed
from properties import examples

OPTIONAL = frozenset(
    """id object created model system_fingerprint service_tier logprobs native_finish_reason provider role
    sequence_number item_id annotations stop_reason matched_stop timings content_filter_results prompt_filter_results
    usage x_groq""".split()  # noqa: SIM905
)
"""Names of fields that a server may leave out, or add, without saying anything else."""
BROKEN = [
    'data: {"choices": [{\n\n',
    "data: \x00\n\n",
    "data: 17\n\n",
    "data: []\n\n",
    'data: {"choices": [{"x": 1}]}\n\n',
    "event: error\ndata: {}\n\n",
]
"""Events that no server means."""
DATA = st.data()
FEW = settings(max_examples=examples(12), deadline=None)


@FEW
@given(DATA)
def test_framing_says_nothing(plain: Any, replies: SimpleNamespace, data: st.DataObject) -> None:
    """Ends of lines, comments, fields without a space, other fields, and where the bytes are cut."""
    text = plain.data.decode()
    if data.draw(st.booleans()):
        text = text.replace("data: ", "data:").replace("event: ", "event:")
    blocks = text.split("\n\n")
    extra = st.sampled_from(
        [": keep-alive\n\n", "retry: 3000\n\n", "\n\n", ":\n", "id: 7\n", "\n: OPENROUTER PROCESSING\n\n"]
    )
    text = "\n\n".join(data.draw(extra) + block if data.draw(st.booleans()) else block for block in blocks)
    text = text.replace("\n", data.draw(st.sampled_from(["\n", "\r\n", "\r"])))
    mutated = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\n\n"])) + text.encode()
    cuts = data.draw(st.lists(st.integers(0, len(mutated)), max_size=20))
    assert replies.read(plain.api, mutated, cuts) == replies.read(plain.api, plain.data)


@FEW
@given(DATA)
def test_order_and_optional_fields_say_nothing(plain: Any, replies: SimpleNamespace, data: st.DataObject) -> None:
    chunks = [shuffled(chunk, data) for chunk in plain.stream]
    mutated = replies.sse(chunks, plain.api, plain.entry.get("done", True))
    assert said(replies, plain.api, mutated) == said(replies, plain.api, plain.data)


@FEW
@given(DATA)
def test_how_a_stream_is_cut_into_chunks_says_nothing(
    plain: Any, replies: SimpleNamespace, data: st.DataObject
) -> None:
    chunks = [part for chunk in plain.stream for part in split(chunk, plain, data)]
    chunks = merged(chunks, plain, data)
    if plain.api == "chat":
        for _ in range(data.draw(st.integers(0, 2))):
            nothing = data.draw(st.sampled_from([{"choices": []}, {"choices": [{"index": 0, "delta": {}}]}]))
            chunks.insert(data.draw(st.integers(0, len(chunks))), nothing)
    mutated = replies.sse(chunks, plain.api, plain.entry.get("done", True))
    assert said(replies, plain.api, mutated) == said(replies, plain.api, plain.data)


@FEW
@given(DATA)
def test_a_stream_that_breaks_off_is_whole_or_an_error(
    plain: Any, replies: SimpleNamespace, data: st.DataObject
) -> None:
    end = data.draw(st.integers(0, len(plain.data) - 1))
    same_or_failed(replies, plain, plain.data[:end])


@settings(max_examples=examples(25), deadline=None)
@given(DATA)
def test_a_damaged_stream_is_the_same_reply_or_an_error(
    plain: Any, replies: SimpleNamespace, data: st.DataObject
) -> None:
    """A value of another kind anywhere, once (twice may come to one that a server could have meant); or an event that
    is no JSON, or no chunk, or an error."""
    chunks = copy.deepcopy(plain.stream)
    if data.draw(st.booleans()):
        damage(chunks[data.draw(st.integers(0, len(chunks) - 1))], data)
    else:
        chunks.insert(data.draw(st.integers(0, len(chunks))), data.draw(st.sampled_from(BROKEN)))
    same_or_failed(replies, plain, replies.sse(with_types(chunks, plain), plain.api, plain.entry.get("done", True)))


def test_the_official_client_reads_what_we_read(replies: SimpleNamespace) -> None:
    """It is an outside client here: on streams that keep to the official shape, both come to the same."""
    streaming = pytest.importorskip("openai.lib.streaming.chat")
    chunk_type = pytest.importorskip("openai.types.chat").ChatCompletionChunk
    compared = 0
    for shape in replies.shapes:
        if shape.server != "openai" or shape.api != "chat" or not shape.plain_stream:
            continue
        state = streaming.ChatCompletionStreamState()
        for chunk in shape.stream:
            state.handle_chunk(chunk_type.model_validate({"created": 0} | chunk))
        message = state.current_completion_snapshot.choices[0].message
        ours = replies.read("chat", shape.data)
        assert (message.content or None, message.refusal or None) == (ours.content, ours.refusal)
        theirs = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
        assert theirs == list(ours.calls) or message.function_call is not None
        compared += 1
    assert compared >= 5


def said(replies: SimpleNamespace, api: str, data: bytes) -> Any:
    return replies.said(replies.read(api, data))


def same_or_failed(replies: SimpleNamespace, plain: Any, mutated: bytes) -> None:
    expected = replies.read(plain.api, plain.data)
    try:
        outcome = replies.read(plain.api, mutated)
    except Failed:
        return
    if outcome.problem is None and outcome.refusal is None and outcome.finish_reason != "content_filter":
        assert (outcome.content, outcome.calls) == (expected.content, expected.calls)


def shuffled(node: Any, data: st.DataObject) -> Any:
    """The same object with its fields in another order, some optional ones left out."""
    if isinstance(node, list):
        return [shuffled(one, data) for one in node]
    if not isinstance(node, dict):
        return node
    # An id is what pieces of calls may be joined by.
    droppable = [name for name in node if name in OPTIONAL and not (name == "id" and "function" in node)]
    kept = [name for name in node if name not in droppable or data.draw(st.booleans())]
    return {name: shuffled(node[name], data) for name in data.draw(st.permutations(kept))}


def split(chunk: dict[str, Any], plain: Any, data: st.DataObject) -> list[dict[str, Any]]:
    """The chunk as two, its text or arguments divided between them; or as it is."""
    if plain.api == "responses":
        if not str(chunk.get("type", "")).endswith(".delta") or not data.draw(st.booleans()):
            return [chunk]
        first, second = cut(chunk["delta"], data)
        return [chunk | {"delta": first}, chunk | {"delta": second}]
    choices = chunk.get("choices") or []
    delta = choices[0].get("delta") if len(choices) == 1 else None
    if not delta or choices[0].get("message") or not data.draw(st.booleans()):
        return [chunk]
    head, tail = copy.deepcopy(chunk), copy.deepcopy(chunk)
    head["choices"][0].pop("finish_reason", None)
    head.pop("usage", None)
    first, second = head["choices"][0]["delta"], tail["choices"][0]["delta"]
    for name in ("content", "refusal", "reasoning_content", "reasoning"):
        if isinstance(delta.get(name), str):
            first[name], second[name] = cut(delta[name], data)
    second.pop("reasoning_details", None)
    if calls := delta.get("tool_calls"):
        pieces = [call["function"].get("arguments") for call in calls]
        if len(calls) == 1 and isinstance(pieces[0], str) and not plain.entry.get("loose"):
            begin, rest = cut(pieces[0], data)
            first["tool_calls"][0]["function"]["arguments"] = begin
            second["tool_calls"] = [{**calls[0], "function": {"arguments": rest}}]
        else:
            second.pop("tool_calls")
    if isinstance(delta.get("function_call"), dict):
        second.pop("function_call")
    if isinstance(delta.get("content"), list):
        second.pop("content")
    return [head, tail]


def cut(text: str, data: st.DataObject) -> tuple[str, str]:
    at = data.draw(st.integers(0, len(text)))
    return text[:at], text[at:]


def merged(chunks: list[dict[str, Any]], plain: Any, data: st.DataObject) -> list[dict[str, Any]]:
    """Some chunks of a chat as one, the choices of both after each other."""
    if plain.api == "responses":
        return chunks
    out: list[dict[str, Any]] = []
    for chunk in chunks:
        if out and out[-1].get("choices") and chunk.get("choices") and data.draw(st.booleans()):
            out[-1] = {**out[-1], **chunk, "choices": [*out[-1]["choices"], *chunk["choices"]]}
        else:
            out.append(chunk)
    return out


def damage(chunk: dict[str, Any], data: st.DataObject) -> None:
    """Put a value of another kind somewhere."""
    node: Any = chunk
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        value = node[key]
        if isinstance(value, dict | list) and value and key != "arguments" and data.draw(st.integers(0, 3)):
            node = value
            continue
        # null is what servers write for nothing, and so is no damage.
        others = [other for other in ([5, True, "x", ["x"], {"x": 1}, 1.5]) if type(other) is not type(value)]
        # What a server may write there just as well would be another reply, not a damaged one.
        if key == "arguments":
            others = [other for other in others if not isinstance(other, str | dict)]
        elif key == "content" or value is None:
            others = [other for other in others if not isinstance(other, str)]
        elif key == "id":  # some servers count calls: another number at one index is another call
            others = [other for other in others if type(other) is not int]
        node[key] = data.draw(st.sampled_from(others))
        return


def with_types(chunks: list[Any], plain: Any) -> list[Any]:
    """Events whose type was damaged go out without the line that names it."""
    if plain.api != "responses":
        return chunks
    named = [isinstance(one, str) or isinstance(one.get("type"), str) for one in chunks]
    return [one if ok else f"data: {json.dumps(one)}\n\n" for one, ok in zip(chunks, named, strict=True)]
