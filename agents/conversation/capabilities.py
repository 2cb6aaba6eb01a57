"""What models take (policy section `models`, `config/models.yaml`), and parameters fitted to it.

What a model does not take is dropped, and named (architecture, section 6). Parameters go by neutral names; the model
connector renames them for the API it asks through.
"""

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
_LOW, _MEDIUM = 0.34, 0.67
Taken = Literal["temperature", "top_p", "max_output_tokens", "reasoning_effort", "stop"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Dollars = Annotated[float, Field(ge=0, strict=False, description="US dollars per million tokens.")]


class EffortWords(BaseModel):
    """A model's own words for reasoning effort."""

    model_config = _STRICT

    low: str
    medium: str
    high: str


class Price(BaseModel):
    """For accounting only."""

    model_config = _STRICT

    input: Dollars
    cached_input: Dollars | None = None
    output: Dollars


class Capabilities(BaseModel):
    """One entry: which models it is about, and what they take."""

    model_config = _STRICT

    match: Annotated[ModelName, Field(description="Name or shell pattern (* and ?), case counts.")]
    api: Literal["responses", "chat"]
    takes: Annotated[tuple[Taken, ...], Field(strict=False, description="Neutral names; any other is dropped.")]
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"]
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
        return re.compile(translate(self.match))


class ModelRules(BaseModel):
    """The `models` section."""

    model_config = _STRICT

    default_model: Annotated[ModelName, Field(description="Asked where a turn names none.")]
    models: Annotated[
        tuple[Capabilities, ...], Field(strict=False, min_length=1, description="The first entry that fits holds.")
    ]

    @model_validator(mode="after")
    def _covers_all(self) -> Self:
        if self.models[-1].match != "*":
            raise ValueError(f"the last entry is {self.models[-1].match!r}, expected '*': every model needs an entry")
        return self

    def of(self, model: str) -> Capabilities:
        """What a model takes."""
        return next(entry for entry in self.models if entry.pattern.match(model))


def effort_word(effort: float) -> Literal["low", "medium", "high"]:
    """The word for a reasoning effort (rules, section 2).

    >>> effort_word(0.33), effort_word(0.34), effort_word(0.67)
    ('low', 'medium', 'high')
    """
    return "low" if effort < _LOW else "medium" if effort < _MEDIUM else "high"


def fitted(
    parameters: Mapping[str, Any], max_output_tokens: int, stop: list[str], takes: Capabilities
) -> tuple[dict[str, Any], list[str]]:
    """(parameters for the model, names of those it does not take), both in a fixed order; effort in its own words."""
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
