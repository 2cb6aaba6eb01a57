"""The script: which answer a conversation gets. Pure; the same conversation gets the same answer, faults aside."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

_SHOWN_CHARS = 600
"""Characters of a tool's output that `{results}` shows."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScriptError(ValueError):
    """A script that cannot be used. The message names the file and what is wrong in it."""


class Fault(_Part):
    """What goes wrong instead of an answer, the first `times` times the step is reached."""

    kind: Literal["status", "malformed", "drop", "stall"]
    """status: an error status; malformed: broken JSON; drop: the connection closes midway; stall: silence."""
    status: Annotated[int, Field(ge=400, le=599)] = 500
    code: str | None = None
    """`error.code` of the body."""
    retry_after: str | None = None
    """Header Retry-After: seconds or an HTTP date."""
    stall_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    times: Annotated[int, Field(ge=1)] = 1_000_000_000


class Call(_Part):
    """A function the model asks for."""

    tool: str
    arguments: dict[str, Any] | str
    """A string goes out as it is, broken JSON included."""


class Step(_Part):
    """One reply. `{prompt}`, `{results}` and `{offered}` in texts are filled in."""

    text: str | None = None
    times: Annotated[int, Field(ge=1, le=1000)] = 1
    """The text so many times over."""
    json_: Annotated[dict[str, Any] | None, Field(alias="json")] = None
    """Content that is this object as JSON, with `"scripted": true` in place of the label."""
    refuse: str | None = None
    calls: tuple[Call, ...] = ()
    finish: Literal["length", "content_filter"] | None = None
    """How the reply ends when not by itself."""
    delay_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    piece_chars: Annotated[int, Field(ge=1, le=65_536)] = 24
    """Characters of one piece of a stream."""
    split_names: bool = False
    """Whether names of functions come in pieces, too (chat completions)."""
    interleaved: bool = False
    """Whether the pieces of several calls take turns (chat completions)."""
    fault: Fault | None = None


class Scored(_Part):
    """Category scores of the moderation endpoint for inputs in which `when` is found."""

    when: str
    scores: dict[str, Annotated[float, Field(ge=0, le=1)]]


class Rule(_Part):
    """Answers to conversations whose last user message (and first system message) fits."""

    name: str
    when: str = ""
    """Regular expression searched in the last user message, without case; empty: every one."""
    system: str = ""
    """The same for the first system message."""
    offered: str = ""
    """Function that the request must offer for the rule to begin; empty: none."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    """By the number of replies with calls since the last user message; the last step stays."""

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """Compiled `when` and `system`."""
        return re.compile(self.when, re.IGNORECASE | re.DOTALL), re.compile(self.system, re.IGNORECASE | re.DOTALL)


class Script(_Part):
    """Rules, the first that fits holds."""

    label: Annotated[str, Field(min_length=1)] = "scripted"
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    moderation: tuple[Scored, ...] = ()
    """The first that fits holds; none: all scores are 0."""
    notes: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]+\.md$")], str] = {}
    """Files that the demo's retrieval searches: name, text."""
    opening: tuple[str, ...] = ()
    """What `endocrine chat --demo` says on a terminal before the person does: lines as they would be typed."""


_ADAPTER = TypeAdapter(Script)


@dataclass(frozen=True)
class Conversation:
    """What was asked, the same for both APIs."""

    system: str
    prompt: str
    """The last user message."""
    replied: int
    """Replies with calls since then."""
    results: Sequence[str]
    """Outputs of tools since then."""
    offered: Sequence[str]
    """Functions offered."""


def load_script(path: Path | None = None) -> Script:
    """Return the script of a file (YAML or JSON), or the bundled demo. Raises ScriptError."""
    name = str(path) if path else "config/scripted.yaml"
    try:
        text = (
            path.read_text("utf-8")
            if path
            else resources.files("endocrine.config").joinpath("scripted.yaml").read_text("utf-8")
        )
        return parse_script(yaml.safe_load(text))
    except (OSError, yaml.YAMLError, ValidationError, re.error) as error:
        raise ScriptError(f"{name}: the script cannot be used: {error}") from None


def parse_script(document: Any) -> Script:
    """Return a script from its document. Raises pydantic's ValidationError or re.error."""
    script = _ADAPTER.validate_python(document)
    for rule in script.rules:
        _ = rule.patterns
    return script


def choose(script: Script, asked: Conversation) -> tuple[Rule, int] | None:
    """Return the rule that fits and the number of its step; None: no rule fits."""
    for rule in script.rules:
        when, system = rule.patterns
        # Only at the beginning: a turn that became strict offers less, and goes on.
        begins = not rule.offered or asked.replied or rule.offered in asked.offered
        if begins and when.search(asked.prompt) and system.search(asked.system):
            return rule, min(asked.replied, len(rule.steps) - 1)
    return None


def scores(script: Script, text: str) -> dict[str, float]:
    """Return what the moderation endpoint says of a text."""
    return next((dict(one.scores) for one in script.moderation if re.search(one.when, text, re.IGNORECASE)), {})


def _plain(result: str) -> str:
    """What a tool gave, out of the frame it came in: snippets as `source: text`, anything else as it is."""
    try:
        frame = json.loads(result)
        found = json.loads(frame["output"]) if isinstance(frame, dict) and "output" in frame else frame
        return " ".join(f"({one['source']}) {one['text']}" for one in found["snippets"]).replace("\n", " ") or "nothing"
    except (ValueError, TypeError, KeyError):
        return result


def filled(text: str, asked: Conversation) -> str:
    """Return a text with what was asked in it."""
    results = "; ".join(_plain(result)[:_SHOWN_CHARS] for result in asked.results) or "nothing"
    places = {"prompt": asked.prompt[:200], "results": results, "offered": ", ".join(asked.offered) or "none"}
    for name, value in places.items():
        text = text.replace("{" + name + "}", value)
    return text
