"""Text of windowed replies while it comes: what leaves is always the beginning of the answer in the end."""

import asyncio
import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.conversation.capabilities import ReplyBounds
from endocrine.agents.conversation.reasoning import visible
from endocrine.pipeline.connectors.contract import EffectRecord, Request
from endocrine.pipeline.connectors.model import effect as effect_module
from endocrine.pipeline.connectors.model.chunks import Chunks, sure_text
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.failures import Failed, StreamCut
from endocrine.pipeline.connectors.model.outcome import Outcome
from endocrine.pipeline.connectors.model.reading import ReplyReader
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.model.wire import chat_body, responses_body
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples

ORPHANS = ("</think>", "[/THINK]", "</thinking>")
VALUE: dict[str, Any] = {
    "request_id": "r1", "audit_id": "t1", "identity": "ann", "step": 1, "model": "local", "messages": [], "tools": [],
    "parameters": {}, "dropped": [], "deadline_ms": 60_000, "stream": "windowed", "ts": 1.0,
}  # fmt: skip


class Pieces:
    """Takes pieces down."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def send(self, seq: int, text: str) -> None:
        assert seq == len(self.texts)
        assert text
        self.texts.append(text)


def test_what_left_is_the_answer_however_the_bytes_are_cut(plain: Any, replies: Any) -> None:
    rng = random.Random(plain.name)
    data = plain.data
    for _ in range(4):
        pieces = Pieces()
        chunks, reader = Chunks(pieces.send), ReplyReader(plain.api, ReplyBounds(), lambda word: False)
        cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(12))})

        async def read(chunks: Chunks = chunks, reader: ReplyReader = reader, cuts: list[int] = cuts) -> Outcome:
            for begin, end in itertools.pairwise(cuts):
                reader.feed(data[begin:end])
                if reader.done:
                    break
                await chunks.add(reader.so_far)
            outcome = reader.close()
            if outcome.refusal is None and outcome.problem is None:
                await chunks.end(outcome.content)
            return outcome

        outcome = asyncio.run(read())
        if any(mark in data.decode() for mark in ORPHANS) and "<think" not in data.decode().lower():
            continue  # known as reasoning only by then
        if outcome.problem is None and outcome.refusal is None:
            assert "".join(pieces.texts) == (outcome.content or "")


TEXTS = st.lists(
    st.sampled_from(["<think>", "</think>", "secret", "`", "<", "thi", "[THINK]", "[/THINK]", "It is 4. ", "a < b"]),
    max_size=14,
).map("".join)  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(text=TEXTS, data=st.data())
def test_no_text_that_is_reasoning_in_the_end_leaves_unless_nothing_opened_it(text: str, data: Any) -> None:
    whole = visible(text)[0]
    at = data.draw(st.integers(0, len(text)))
    sure = sure_text(text[:at])
    opened = text.lower().find("<think>"), text.find("[THINK]")
    closed = [text.find(mark) for mark in ("</think>", "[/THINK]") if mark in text]
    orphan = bool(closed) and min(closed) < min((place for place in opened if place >= 0), default=len(text))
    if not orphan and "`" not in text:
        assert whole.startswith(sure) or whole.strip().startswith(sure.strip())


@pytest.mark.parametrize("text", ["a < b and c", "see [1] and [2]", "if x<y", "`<think>` is a tag"])
def test_marks_that_are_no_tags_only_wait_for_what_follows(text: str) -> None:
    pieces = Pieces()

    async def run() -> None:
        chunks = Chunks(pieces.send)
        for at in range(1, len(text) + 1):
            await chunks.add(text[:at])
        await chunks.end(text)

    asyncio.run(run())
    assert "".join(pieces.texts) == text


@pytest.fixture
def effect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An effect whose calls are scripted: `effect.script` is a list of (pieces, error)."""
    made = ModelEffect(ModelSettings(api_key="k"), shipped_policy().document.models, sleep=lambda _: asyncio.sleep(0))  # type: ignore[arg-type]
    made.script = []  # type: ignore[attr-defined]

    async def ask(*_: Any, chunks: Chunks | None, **__: Any) -> Outcome:
        pieces, error = made.script.pop(0)  # type: ignore[attr-defined]
        if chunks is not None:
            for at in range(len(pieces)):
                await chunks.add("".join(pieces[: at + 1]))
        if error is not None:
            raise error
        if chunks is not None:
            await chunks.end("".join(pieces))
        return Outcome("".join(pieces), None, (), "stop", None, 1, 0, 1)

    monkeypatch.setattr(effect_module, "ask", ask)
    return made


def run(effect: Any, **more: Any) -> tuple[list[EffectRecord], dict[str, Any]]:
    said: list[EffectRecord] = []

    async def emit(record: EffectRecord, ending: str) -> None:
        assert ending == f"chunk-{record.value['seq']}"
        CATALOGUE[record.topic].validate(json.loads(json.dumps(record.value)))
        said.append(record)

    (reply,) = asyncio.run(effect.run(Request({**VALUE, **more}, "ann", 0, 0, 0.0, emit=emit)))
    return said, reply.value


def test_a_windowed_request_gives_its_text_in_numbered_pieces_and_then_the_reply(effect: Any) -> None:
    effect.script = [(["It ", "is ", "4."], None)]
    said, reply = run(effect)
    assert [(one.topic, one.value["seq"], one.value["text"]) for one in said] == [
        ("model-chunks", 0, "It "), ("model-chunks", 1, "is "), ("model-chunks", 2, "4."),
    ]  # fmt: skip
    assert (reply["status"], reply["content"]) == ("ok", "It is 4.")


@pytest.mark.parametrize("stream", [None, "buffered"])
def test_other_requests_give_none(effect: Any, stream: str | None) -> None:
    effect.script = [(["It is 4."], None)]
    said, reply = run(effect, stream=stream)
    assert said == []
    assert reply["content"] == "It is 4."


def test_a_reply_that_broke_after_its_first_piece_is_not_asked_for_again(effect: Any) -> None:
    effect.script = [(["It "], StreamCut()), (["Anew."], None)]
    said, reply = run(effect)
    assert [one.value["text"] for one in said] == ["It "]
    assert reply["status"] == "error"
    assert reply["error"].startswith("stream_cut")


def test_a_reply_that_broke_before_it_is(effect: Any) -> None:
    effect.script = [([], Failed("http_500", "the provider answered so", retry=True)), (["Anew."], None)]
    said, reply = run(effect)
    assert [one.value["text"] for one in said] == ["Anew."]
    assert reply["status"] == "ok"


SCHEMA = {"name": "answer", "schema": {"type": "object"}, "strict": True}
NESTED = {"type": "json_schema", "json_schema": SCHEMA}
FLAT = {"type": "json_schema", **SCHEMA}
FUNCTION = {"type": "function", "function": {"name": "read_file"}}


@pytest.mark.parametrize("form", [NESTED, FLAT])
def test_the_form_of_the_answer_is_written_as_each_api_has_it(form: Any) -> None:
    value = {**VALUE, "parameters": {"response_format": form}}
    assert chat_body(value, "max_tokens")["response_format"] == NESTED
    assert responses_body(value)["text"] == {"format": FLAT}


@pytest.mark.parametrize("choice", [FUNCTION, {"type": "function", "name": "read_file"}])
def test_a_choice_of_one_function_is_written_as_each_api_has_it(choice: Any) -> None:
    value = {**VALUE, "parameters": {"tool_choice": choice}}
    assert chat_body(value, "max_tokens")["tool_choice"] == FUNCTION
    assert responses_body(value)["tool_choice"] == {"type": "function", "name": "read_file"}


def test_plain_wishes_are_passed_on_as_they_are_and_what_responses_lack_is_left_out() -> None:
    parameters = {"seed": 7, "stop": ["x"], "tool_choice": "required", "parallel_tool_calls": False,
                  "response_format": {"type": "json_object"}}  # fmt: skip
    chat, responses = (
        make({**VALUE, "parameters": parameters}) for make in (lambda v: chat_body(v, "m"), responses_body)
    )
    assert {name: chat[name] for name in parameters} == parameters
    assert responses["text"] == {"format": {"type": "json_object"}}
    assert (responses["tool_choice"], responses["parallel_tool_calls"]) == ("required", False)
    assert not {"seed", "stop", "response_format"} & responses.keys()
