"""The rules of capture: what counts as a turn, what a prompt's wording says (policy section `heuristics`), and which
turns memory reads (section `capture`)."""

from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from endocrine.agents.capture.patterns import CueCounter, compile_marks, compile_words
from endocrine.schemas.base import STRICT

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Project = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]


class _Frozen(BaseModel):
    model_config = STRICT


class Cue(_Frozen):
    """One thing looked for in a prompt. Exactly one of the last four fields says what is counted."""

    name: Annotated[Text, Field(description="For people: what the cue means.")]
    weight: Annotated[float, Field(ge=-1, le=1, description="Added to the level once per count; may be negative.")]
    at_most: Annotated[int, Field(ge=1, le=100, description="Counts above this add nothing more.")] = 1
    words: Annotated[Texts | None, Field(description="Words or phrases, whole, in any case.")] = None
    marks: Annotated[Texts | None, Field(description="Characters or strings, wherever they stand.")] = None
    fewer_words_than: Annotated[int | None, Field(ge=1, description="Counts 1 for a prompt of fewer words.")] = None
    shouted_letters: Annotated[
        int | None, Field(ge=2, description="Counts the words of at least so many letters, all of them capitals.")
    ] = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = ("words", "marks", "fewer_words_than", "shouted_letters")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"cue {self.name!r} has {given or 'none'} of {', '.join(kinds)}; expected exactly one")
        if self.words == () or self.marks == ():
            raise ValueError(f"cue {self.name!r}: the list {given[0]} is empty; expected at least one entry")
        return self

    @cached_property
    def counter(self) -> CueCounter:
        """The compiled form; made once per cue."""
        if self.words is not None:
            return compile_words(self.words)
        if self.marks is not None:
            return compile_marks(self.marks)
        raise AssertionError("only cues of words and marks are compiled")


class CaptureRules(_Frozen):
    """What capture and ingest leave out or cut (rules section 7). The service itself does not skip short turns."""

    min_prompt_chars: Annotated[int, Field(ge=1, description="Characters, white space around it not counted.")]
    meta_prefix: Annotated[Text, Field(description="A prompt that starts so is a meta message.")]
    command_prefix: Annotated[Text, Field(description="A prompt that starts so, then a letter, is a slash command.")]
    max_response_chars: Annotated[int, Field(ge=1, description="Characters; a longer response is cut there.")]
    truncation_mark: Annotated[Text, Field(description="What is at the end of a cut response.")]


class CapturedTurnRules(_Frozen):
    """The section `capture`: bounds of what is kept of one identity's turns."""

    open_turns: Annotated[
        int, Field(ge=1, le=10_000, description="Turns that have not ended; of more the oldest is out.")
    ]
    open_s: Annotated[float, Field(gt=0, description="Seconds after its opening that a turn's end is waited for.")]
    ended_remembered: Annotated[int, Field(ge=1, le=10_000, description="Ended turns, so that each is captured once.")]
    paths: Annotated[
        dict[Annotated[str, StringConstraints(min_length=1, max_length=4096)], Project],
        Field(max_length=1000, description="Folder to project: of the turns that the Stop hook records there."),
    ]


class HeuristicRules(_Frozen):
    """How a prompt's wording becomes signals. A level is the sum of its cues, clamped to 0..1, 2 decimals."""

    live: Annotated[
        bool, Field(description="True: the modulation agent runs them on live turns that bring no signals.")
    ] = False
    source: Annotated[Text, Field(description="Source named in the signals.")]
    ttl_ms: Annotated[int, Field(ge=0, description="Time to live of the signals, milliseconds of event time.")]
    scan_chars: Annotated[int, Field(ge=1, description="Only the first so many characters of a prompt are read.")]
    report_from: Annotated[
        float, Field(gt=0, le=1, description="A lower level is not reported: a signal at 0 would still apply its map.")
    ]
    ambiguity: Annotated[tuple[Cue, ...], Field(strict=False)]
    urgency: Annotated[tuple[Cue, ...], Field(strict=False)]
    novelty: Annotated[tuple[Cue, ...], Field(strict=False)]
    trust: Annotated[tuple[Cue, ...], Field(strict=False)]
    capture: CaptureRules
