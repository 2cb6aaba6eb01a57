"""The `applications` section of the policy: what each client's turns may have of its own (doors, section 2)."""

import re
from fnmatch import translate
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel, StringConstraints

from endocrine.schemas.base import STRICT, STRICT_ROOT
from endocrine.schemas.vocabulary import Images, Mode, Stream

ANY = "*"
"""The entry of every client that has none of its own."""
Glob = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Globs = Annotated[tuple[Glob, ...], Field(strict=False, max_length=256)]
Client = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ApplicationRules(BaseModel):
    """What turns of one client may have. Patterns are a shell's, and case counts."""

    model_config = STRICT

    tools: Annotated[Globs, Field(description="Functions of the application that may be called.")] = ()
    strict_tools: Annotated[Globs, Field(description="Those of them that a strict turn keeps.")] = ()
    arguments: Annotated[Literal["declared"], Field(description="Held against the declared JSON Schema.")] = "declared"
    own_tools: Annotated[
        bool, Field(description="Our tools are offered as well, in turns of the OpenAI-compatible endpoint.")
    ] = False
    models_allowed: Annotated[Globs, Field(description="Models that may be asked for.")] = ("*",)
    stream: Annotated[Stream, Field(description="How answers of the OpenAI-compatible endpoint are streamed.")] = (
        "buffered"
    )
    judge_history: Annotated[bool, Field(description="All given messages are judged as input.")] = False
    images: Annotated[
        Images, Field(description="Image parts that may come in: all, only given bytes (data), none; none is judged.")
    ] = "all"

    def allows(self, function: str, mode: Mode) -> bool:
        """Return whether a function of the application may be called in a mode."""
        return _any(self._tools, function) and (mode != "strict" or _any(self._strict_tools, function))

    def allows_model(self, model: str) -> bool:
        """Return whether a model may be asked for."""
        return _any(self._models, model)

    @cached_property
    def _tools(self) -> tuple[re.Pattern[str], ...]:
        return _compiled(self.tools)

    @cached_property
    def _strict_tools(self) -> tuple[re.Pattern[str], ...]:
        return _compiled(self.strict_tools)

    @cached_property
    def _models(self) -> tuple[re.Pattern[str], ...]:
        return _compiled(self.models_allowed)


class Applications(RootModel[dict[Client, ApplicationRules]]):
    """Rules by client; `config/applications.yaml`."""

    model_config = STRICT_ROOT

    def of(self, client: str) -> ApplicationRules:
        """Return the rules of a client: its own entry, else that of `*`, else none of anything."""
        return self.root.get(client) or self.root.get(ANY) or ApplicationRules()


def _compiled(globs: Globs) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(translate(glob)) for glob in globs)


def _any(patterns: tuple[re.Pattern[str], ...], name: str) -> bool:
    return any(pattern.match(name) for pattern in patterns)
