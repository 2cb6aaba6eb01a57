"""Images in the words of the two APIs, and what is hidden of them where a provider answers with an error."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.conversation.capabilities import ReplyBounds
from endocrine.pipeline.connectors.contract import Request
from endocrine.pipeline.connectors.model.ask import ask
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.failures import Failed
from endocrine.pipeline.connectors.model.images import runs
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.model.wire import chat_body, responses_body
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples

A, B = "a" * 64, "b" * 64
URLS = {A: "data:image/png;base64,QUJDREVGR0hJSktMTU5PUA==", B: "https://x.test/b.png"}
MODELS = shipped_policy().document.models


def block(digest: str, **more: Any) -> dict[str, Any]:
    about = {"type": "image", "digest": digest, "size": 9, "source": "data", "media_type": "image/png"}
    return {**about, "partition": 0, "offsets": [4], **more}


VALUE: dict[str, Any] = {
    "request_id": "t/1",
    "audit_id": "t",
    "identity": "ann",
    "step": 1,
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look."}, block(A, detail="low"), block(B)]},
    ],
    "tools": [],
    "parameters": {},
    "deadline_ms": 60_000,
    "ts": 1.0,
}


def test_chat_completions_get_urls_and_the_detail_that_was_given() -> None:
    assert chat_body(VALUE, "max_tokens", URLS)["messages"][1]["content"] == [
        {"type": "text", "text": "Look."},
        {"type": "image_url", "image_url": {"url": URLS[A], "detail": "low"}},
        {"type": "image_url", "image_url": {"url": URLS[B]}},
    ]


def test_responses_get_input_parts_and_a_detail_in_any_case() -> None:
    assert responses_body(VALUE, URLS)["input"][1]["content"] == [
        {"type": "input_text", "text": "Look."},
        {"type": "input_image", "image_url": URLS[A], "detail": "low"},
        {"type": "input_image", "image_url": URLS[B], "detail": "auto"},
    ]


def test_content_that_is_a_list_without_images_goes_as_it_was_given() -> None:
    given_ = {**VALUE, "messages": [{"role": "user", "content": [{"type": "text", "text": "Look."}]}]}
    assert chat_body(given_, "max_tokens")["messages"] == given_["messages"]
    assert responses_body(given_)["input"] == given_["messages"]


@settings(max_examples=examples(200))
@given(st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True))
def test_no_offset_is_read_that_is_not_named_and_every_named_one_is_read_once(offsets: list[int]) -> None:
    found = [offset for first, end in runs(offsets) for offset in range(first, end)]
    assert found == sorted(offsets)
    assert all(end < first for (_, end), (first, _) in zip(runs(offsets), runs(offsets)[1:], strict=False))


class Echoing:
    """A provider that answers with a word of what it was sent as its error's code."""

    def __init__(self, code: str) -> None:
        self.code, self.sent = code, b""

    @contextlib.asynccontextmanager
    async def post(self, path: str, data: bytes, **_: Any) -> AsyncIterator[Any]:
        self.sent = data

        async def pieces() -> AsyncIterator[bytes]:
            yield orjson.dumps({"error": {"message": "no", "code": self.code}})

        yield SimpleNamespace(status=400, headers={}, pieces=pieces)


@pytest.mark.parametrize(("code", "shown"), [("QUJDREVGR", False), ("Look", False), ("bad_image", True)])
def test_a_providers_word_that_occurs_in_an_image_is_not_shown(code: str, shown: bool) -> None:
    provider = Echoing(code)
    asking = ask(
        provider,  # type: ignore[arg-type]
        ModelSettings(api_key="any"),
        VALUE,
        api="chat",
        takes=MODELS.of("m"),
        bounds=ReplyBounds(),
        within_s=5,
        images=URLS,
    )
    with pytest.raises(Failed) as caught:
        asyncio.run(asking)
    assert URLS[A].encode() in provider.sent
    assert (code in str(caught.value)) is shown


def test_a_connector_that_reads_no_images_says_so_and_asks_nobody() -> None:
    effect = ModelEffect(ModelSettings(api_key="any", base_url="http://127.0.0.1:1/v1"), MODELS)
    (reply,) = asyncio.run(effect.run(Request(VALUE, "ann", 0, 0, 0.0)))
    assert (reply.value["status"], reply.value["error"].partition(":")[0]) == ("error", "image_unread")
