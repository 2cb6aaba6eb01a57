"""What models take (policy section `models`, `config/models.yaml`), and parameters fitted to it.

What a model does not take is dropped, and named (architecture, section 6). Parameters go by neutral names; the model
connector renames them for the API it asks through. Entries are found by the model's own name, without what proxies and
clouds put before it (`bare_name`).
"""

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from endocrine.schemas.base import STRICT

_LOW, _MEDIUM = 0.34, 0.67
Taken = Literal["temperature", "top_p", "max_output_tokens", "reasoning_effort", "stop"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Dollars = Annotated[float, Field(ge=0, strict=False, description="US dollars per million tokens.")]


class EffortWords(BaseModel):
    """A model's own words for reasoning effort."""

    model_config = STRICT

    low: str
    medium: str
    high: str


class Price(BaseModel):
    """For accounting only."""

    model_config = STRICT

    input: Dollars
    cached_input: Dollars | None = None
    output: Dollars


class Capabilities(BaseModel):
    """One entry: which models it is about, and what they take."""

    model_config = STRICT

    match: Annotated[
        ModelName,
        Field(description="Name or shell pattern (* and ?), without case; of the name as given or of its bare form."),
    ]
    api: Literal["responses", "chat"]
    takes: Annotated[tuple[Taken, ...], Field(strict=False, description="Neutral names; any other is dropped.")]
    max_tokens_name: Literal["max_tokens", "max_completion_tokens", "max_output_tokens"]
    effort_words: EffortWords | None = None
    price: Price | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "max_output_tokens" not in self.takes:
            raise ValueError(
                f"models entry {self.match!r}: max_output_tokens is missing in `takes`; the budget's reservation "
                "rests on this bound, so a model that takes none cannot be asked"
            )
        if ("reasoning_effort" in self.takes) != (self.effort_words is not None):
            raise ValueError(f"models entry {self.match!r}: reasoning_effort in `takes` and effort_words go together")
        return self

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """`match`, compiled."""
        return re.compile(translate(self.match.lower()))


class ReplyBounds(BaseModel):
    """What one reply may cost: checked while it is read. Beyond a bound it is refused, and answered with an error."""

    model_config = STRICT

    body_bytes: Annotated[
        int,
        Field(ge=1024, le=2**30, description="Bytes of a reply that is no stream, decompressed."),
    ] = 4_194_304
    stream_bytes: Annotated[
        int, Field(ge=1024, le=2**33, description="Bytes of a stream, reasoning and framing included, decompressed.")
    ] = 67_108_864
    event_bytes: Annotated[int, Field(ge=1024, le=2**30, description="Bytes of one event of a stream.")] = 4_194_304
    error_bytes: Annotated[
        int, Field(ge=0, le=2**20, description="Bytes that are read of an error's body, for its code and type.")
    ] = 65_536
    text_chars: Annotated[
        int, Field(ge=256, le=2**24, description="Characters of answer and arguments together, reasoning not counted.")
    ] = 524_288
    record_bytes: Annotated[
        int, Field(ge=4096, le=2**24, description="Bytes of the `model-replies` record; `max_record_bytes` where less.")
    ] = 1_000_000
    depth: Annotated[int, Field(ge=1, le=200, description="Levels of objects and lists in a call's arguments.")] = 64
    calls: Annotated[int, Field(ge=1, le=1024, description="Tool calls in one reply.")] = 128
    call_ms: Annotated[
        int, Field(ge=1, le=2**32, description="Milliseconds one call may take, however late the deadline is.")
    ] = 1_800_000


_VENDOR = re.compile(
    r"^(?:(?:us|eu|apac|global|au|ca|jp|us-gov)\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|mistral|moonshot|openai|qwen)\."
)
_TUNED = "ft:"


def bare_name(model: str) -> str:
    """Return a model's own name in lower case: without a proxy's path, a cloud's vendor, and the mark of a fine-tune.

    >>> bare_name("openrouter/anthropic/Claude-Opus-4.1"), bare_name("bedrock/us.anthropic.claude-sonnet-4-5")
    ('claude-opus-4.1', 'claude-sonnet-4-5')
    >>> bare_name("models/gemini-2.5-pro"), bare_name("ft:gpt-4o-mini:me::1")
    ('gemini-2.5-pro', 'gpt-4o-mini:me::1')
    """
    name = model.strip().rstrip("/").rpartition("/")[2].lower()
    return _VENDOR.sub("", name.removeprefix(_TUNED)) or model.lower()


class ModelRules(BaseModel):
    """The `models` section."""

    model_config = STRICT

    default_model: Annotated[ModelName, Field(description="Asked where a turn names none.")]
    models: Annotated[
        tuple[Capabilities, ...], Field(strict=False, min_length=1, description="The first entry that fits holds.")
    ]
    prefixed_api: Annotated[
        Literal["responses", "chat"],
        Field(
            description="API for names with a path (`openai/gpt-5`): they are a proxy's, and all of those know chat."
        ),
    ] = "chat"
    bounds: ReplyBounds = ReplyBounds()

    @model_validator(mode="after")
    def _covers_all(self) -> Self:
        if self.models[-1].match != "*":
            raise ValueError(f"the last entry is {self.models[-1].match!r}, expected '*': every model needs an entry")
        return self

    def of(self, model: str) -> Capabilities:
        """Return what a model takes."""
        given, bare = model.lower(), bare_name(model)
        return next(entry for entry in self.models if entry.pattern.match(given) or entry.pattern.match(bare))

    def api_of(self, model: str) -> Literal["responses", "chat"]:
        """Return the API a model is asked through."""
        return self.prefixed_api if "/" in model else self.of(model).api


def effort_word(effort: float) -> Literal["low", "medium", "high"]:
    """Return the word for a reasoning effort (rules, section 2).

    >>> effort_word(0.33), effort_word(0.34), effort_word(0.67)
    ('low', 'medium', 'high')
    """
    return "low" if effort < _LOW else "medium" if effort < _MEDIUM else "high"


def fitted(
    parameters: Mapping[str, Any], max_output_tokens: int, stop: list[str], takes: Capabilities
) -> tuple[dict[str, Any], list[str]]:
    """Return (parameters for the model, names of those it does not take), in a fixed order; effort in its own words."""
    effort = effort_word(parameters["reasoning_effort"])
    wanted: dict[str, Any] = {
        "temperature": parameters["temperature"],
        "top_p": parameters["top_p"],
        "max_output_tokens": max_output_tokens,
        "reasoning_effort": effort if takes.effort_words is None else getattr(takes.effort_words, effort),
        **({"stop": stop} if stop else {}),
    }
    sent: dict[str, Any] = {name: value for name, value in wanted.items() if name in takes.takes}
    return sent, [name for name in wanted if name not in takes.takes]
