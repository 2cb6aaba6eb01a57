"""Replies as bytes, and what the readers make of them."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from endocrine.agents.conversation.capabilities import ReplyBounds
from endocrine.pipeline.connectors.model.failures import Failed
from endocrine.pipeline.connectors.model.outcome import Outcome
from endocrine.pipeline.connectors.model.provider_errors import error_in, failure_of
from endocrine.pipeline.connectors.model.reading import ReplyReader

SHAPES = Path(__file__).parents[2] / "data" / "model_replies"


@dataclass(frozen=True, repr=False)
class Shape:
    """A recorded reply and what is expected of it."""

    server: str
    name: str
    api: str
    entry: dict[str, Any]

    def __repr__(self) -> str:
        return f"Shape({self.server}: {self.name})"

    @property
    def stream(self) -> list[Any] | None:
        """Its chunks or events, where it is a stream."""
        return self.entry.get("stream")

    @property
    def plain_stream(self) -> bool:
        """Whether it is a stream of JSON alone that comes to a reply: what mutations start from."""
        return self.stream is not None and all(isinstance(one, dict) for one in self.stream) and "expect" in self.entry

    @property
    def data(self) -> bytes:
        """As bytes."""
        if "text" in self.entry:
            return str(self.entry["text"]).encode()
        if "whole" in self.entry:
            return json.dumps(self.entry["whole"]).encode()
        return _sse(self.entry["stream"], self.api, self.entry.get("done", True))


def _sse(chunks: Iterable[Any], api: str, done: bool = True) -> bytes:
    texts = []
    for chunk in chunks:
        if isinstance(chunk, str):
            texts.append(chunk)
        else:
            name = f"event: {chunk['type']}\n" if api == "responses" else ""
            texts.append(f"{name}data: {json.dumps(chunk)}\n\n")
    if done and api == "chat":
        texts.append("data: [DONE]\n\n")
    return "".join(texts).encode()


def _read(api: str, data: bytes, cuts: Iterable[int] = (), bounds: ReplyBounds | None = None) -> Outcome:
    """What a reader makes of bytes that come cut at these places. Raises Failed."""
    reader = ReplyReader(api, bounds or ReplyBounds(), lambda word: False)  # type: ignore[arg-type]
    places = [0, *sorted(set(cuts)), len(data)]
    for begin, end in pairwise(places):
        reader.feed(data[begin:end])
        if reader.done:
            break
    return reader.close()


def _said(outcome: Outcome) -> tuple[Any, ...]:
    """What a reply says to whoever acts on it."""
    return outcome.content, outcome.refusal, outcome.calls, outcome.finish_reason, outcome.problem


def _shapes() -> Iterator[Shape]:
    for file in sorted(SHAPES.glob("*.yaml")):
        for entry in yaml.safe_load(file.read_text()):
            yield Shape(file.stem, entry["name"], entry["api"], entry)


def _failure(shape: Shape) -> Failed:
    """What a shape whose status is an error's comes to."""
    try:
        body = json.loads(shape.data)
    except ValueError:
        body = None
    return failure_of(error_in(body), lambda word: False, status=shape.entry["status"])


class Replies(SimpleNamespace):
    """What tests do with replies."""

    def __repr__(self) -> str:
        return "replies"


@pytest.fixture(scope="session")
def replies() -> Replies:
    """shapes, sse(chunks, api, done), read(api, data, cuts, bounds), said(outcome), failure(shape)."""
    return Replies(shapes=list(_shapes()), sse=_sse, read=_read, said=_said, failure=_failure)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`shape`: each recorded reply; `plain`: the streams that mutations start from."""
    chosen: dict[str, Callable[[Shape], bool]] = {
        "shape": lambda shape: True,
        "plain": lambda shape: shape.plain_stream,
    }
    for name, take in chosen.items():
        if name in metafunc.fixturenames:
            found = [shape for shape in _shapes() if take(shape)]
            metafunc.parametrize(name, found, ids=[f"{shape.server}: {shape.name}" for shape in found])
