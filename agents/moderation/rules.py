"""The `moderation` section of the policy: categories, rules and presets; shipped in `config/moderation.yaml`."""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from endocrine.agents.moderation.patterns import Matcher, compile_matcher, slots_of, spelt_chars, variants
from endocrine.agents.moderation.stems import compound_of, stems_of
from endocrine.schemas.base import STRICT

JudgedText = Literal["input", "tool_output", "output", "note"]
"""Where a text comes from: the user, an untrusted tool, the model's final answer, a feedback note."""
Preset = Literal["standard", "high"]
"""What a prompt style asks for (`prompt_styles.*.moderation_preset`)."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_/-]{0,63}$")]
"""A rule or a category; providers write categories with slashes."""
Level = Annotated[float, Field(ge=0, le=1)]
MAX_SPAN = 512
"""Characters that a rule may name as its longest span; no window of a stream is longer."""


_LEAST_REJOINED = 6
"""Letters of a word that is put together again: shorter ones are two words too often (`in to`, `be low`)."""


class Run(BaseModel):
    """A prefix followed at once by at least so many letters, digits, `-` or `_`: what keys and tokens look like."""

    model_config = STRICT

    prefix: Annotated[str, StringConstraints(min_length=2, max_length=64)]
    chars: Annotated[int, Field(ge=1, le=512, description="Characters after the prefix, at least.")]


class Rule(BaseModel):
    """One rule; it fires where any of its phrases, stems, marks, runs or secrets occurs.

    Grammar: `endocrine.agents.moderation.patterns`, of stems `endocrine.agents.moderation.stems`.
    """

    model_config = STRICT

    category: Name
    score: Annotated[Level, Field(description="Score of its category when it fires.")]
    phrases: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, max_length=1000)], ...], Field(strict=False)
    ] = ()
    stems: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, max_length=1000)], ...],
        Field(strict=False, description="Phrases whose words may be parts of longer ones; spaces do not matter."),
    ] = ()
    marks: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, max_length=200)], ...], Field(strict=False)
    ] = ()
    runs: Annotated[tuple[Run, ...], Field(strict=False)] = ()
    secrets: Annotated[
        tuple[Literal["token", "private_key"], ...],
        Field(strict=False, description="Kinds of secrets, by the shapes that redaction knows too."),
    ] = ()
    compounds: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, max_length=1000)], ...],
        Field(strict=False, description="Phrases that mean something else: their words are not seen by `phrases`."),
    ] = ()
    compound_stems: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, max_length=1000)], ...],
        Field(strict=False, description="Stems that mean something else: what they spell is not seen by `stems`."),
    ] = ()
    quoted: Annotated[
        Level | None,
        Field(
            description="Score where all that fires is in quotations that a text about attacks reports (`quotations`). "
            "Null: the same as elsewhere."
        ),
    ] = None
    span: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_SPAN,
            description="Characters over which a find extends at most, invisible ones counted: what windowed streams "
            "hold back. Null: unknown, and there the rule is judged at the end only.",
        ),
    ] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.phrases or self.stems or self.marks or self.runs or self.secrets):
            raise ValueError("a rule without phrases, stems, marks, runs and secrets never fires: give at least one")
        for phrase in self.stems:
            stems_of(phrase)
        for phrase in self.compound_stems:
            compound_of(phrase)
        for phrase in self.phrases:
            for one in variants(phrase):
                slots_of(one)
        for phrase in self.compounds:
            if any(None in slots_of(one) for one in variants(phrase)):
                raise ValueError(f"compound {phrase!r} has a gap, expected words that follow each other")
        if self.span is not None and (self.stems or self.quoted is not None):
            # A piece of a stream holds neither a gap of characters nor both ends of a quotation for sure.
            raise ValueError("a rule with `stems` or `quoted` has no longest span: expected span null")
        if self.quoted is not None and self.quoted > self.score:
            raise ValueError(f"quoted {self.quoted} is above score {self.score}: a quotation is no worse than the text")
        least = spelt_chars(self.phrases, self.marks, [(run.prefix, run.chars) for run in self.runs])
        if self.span is not None and self.span < least:
            raise ValueError(
                f"span {self.span} is shorter than what the rule finds: expected {least} at least, or null"
            )
        return self


class Thresholds(BaseModel):
    """From which score of a category on something happens."""

    model_config = STRICT

    flag: Annotated[Level, Field(description="An incident, and alignment_risk of this level.")]
    block: Annotated[Level, Field(description="The text goes no further, where its category blocks.")]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.block < self.flag:
            raise ValueError(f"block {self.block} is below flag {self.flag}: what is blocked is flagged too")
        return self


class Presets(BaseModel):
    """Thresholds by the preset of the prompt style in force."""

    model_config = STRICT

    standard: Thresholds
    high: Thresholds


class Quotations(BaseModel):
    """Which quotations only report what somebody else writes: those that a text about attacks leads in."""

    model_config = STRICT

    chars: Annotated[int, Field(ge=10, le=2000, description="Characters of a quotation, at most.")]
    about: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, max_length=1000)], ...],
        Field(strict=False, min_length=1, description="Phrases; the text holds one of them outside its quotations."),
    ]
    leads: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[a-z]{1,40}$")], ...],
        Field(strict=False, min_length=1, description="Words; one of them is close before or after a quotation."),
    ]

    @model_validator(mode="after")
    def _phrases(self) -> Self:
        for phrase in self.about:
            for one in variants(phrase):
                slots_of(one)
        return self

    @cached_property
    def is_about(self) -> Matcher:
        """Whether a text is about attacks; made once per policy."""
        return compile_matcher(self.about)


class ModerationRules(BaseModel):
    """Constants of local moderation."""

    model_config = STRICT

    provider: Annotated[
        Literal["local", "remote"],
        Field(description="remote: verdicts on input and final output come as replies to requests, beside the rules."),
    ]
    chars: Annotated[int, Field(ge=100, le=1_000_000, description="Characters of a text that are looked at, at most.")]
    gap: Annotated[int, Field(ge=1, le=10, description="Words that a `*` in a phrase matches, at most.")]
    rejoin: Annotated[
        bool, Field(description="Whether words of `phrases` are found where a space parts them: `ig nore all ru les`.")
    ] = False
    quotations: Quotations | None = None
    presets: Presets
    blocks: Annotated[
        dict[Name, Annotated[tuple[JudgedText, ...], Field(strict=False)]],
        Field(description="By category, the places where a score at or above `block` stops the text."),
    ]
    rules: Annotated[dict[Name, Rule], Field(description="By the name that explanations give.")]

    @model_validator(mode="after")
    def _categories_are_listed(self) -> Self:
        for name, rule in self.rules.items():
            if rule.category not in self.blocks:
                raise ValueError(
                    f"rules.{name}.category {rule.category!r} is not in `blocks`: add it, with [] where it never blocks"
                )
        return self

    @cached_property
    def matchers(self) -> tuple[tuple[str, Rule, Matcher], ...]:
        """Each rule, ready to run; made once per policy."""
        return tuple(
            (
                name,
                rule,
                compile_matcher(
                    rule.phrases,
                    rule.marks,
                    [(run.prefix, run.chars) for run in rule.runs],
                    secrets=rule.secrets,
                    compounds=rule.compounds,
                    stems=(rule.stems, rule.compound_stems),
                ),
            )
            for name, rule in self.rules.items()
        )

    @cached_property
    def spanned(self) -> tuple[tuple[str, Rule, Matcher], ...]:
        """The matchers of rules that name a span: those that may judge a piece of a text."""
        return tuple(one for one in self.matchers if one[1].span is not None)

    @cached_property
    def broken(self) -> frozenset[str]:
        """Words of phrases that are put together where a space parts them; none where `rejoin` is false."""
        if not self.rejoin:
            return frozenset()
        slots = (slot for rule in self.rules.values() for phrase in rule.phrases for slot in slots_of(_plain(phrase)))
        return frozenset(word for slot in slots for word in slot or () if len(word) >= _LEAST_REJOINED)

    def blocking(self, place: JudgedText) -> dict[str, Rule]:
        """Return the rules that block a text there under one preset at least, by name."""
        least = min(self.presets.standard.block, self.presets.high.block)
        return {
            name: rule
            for name, rule in self.rules.items()
            if rule.score >= least and place in self.blocks.get(rule.category, ())
        }

    def longest_span(self, place: JudgedText) -> int:
        """Return the longest span of the rules that block there, in characters; 1 where none of them names one."""
        return max((rule.span for rule in self.blocking(place).values() if rule.span is not None), default=1)


def _plain(phrase: str) -> str:
    """A phrase with every slot that may be left out."""
    return phrase.replace("?", "")
