"""The section `memory` of the policy: what is kept, extracted, reinforced and compared (memory, 5 and 6)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from endocrine.agents._shared import linear
from endocrine.schemas.vocabulary import MemoryType


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ExtractionRule(_Section):
    """One form in which an answer says something worth remembering."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    where: Annotated[
        Literal["heading", "sentence"],
        Field(description="heading: the text of a Markdown heading; sentence: from a line's start or after `. `."),
    ]
    pattern: Annotated[
        str,
        Field(description="RE2, linear; it matches the whole heading or sentence, and its first group is extracted."),
    ]
    type: Annotated[MemoryType, Field(description="Type of the candidate.")]
    slot: Annotated[bool, Field(description="Whether `name: value` sets the slot `name`.")] = False

    @model_validator(mode="after")
    def _runs(self) -> "ExtractionRule":
        fault = linear.fault(self.pattern)
        if fault is not None:
            raise ValueError(f"rule {self.name!r}: the pattern cannot be run in linear time: {fault}")
        if not linear.groups(self.pattern):
            raise ValueError(f"rule {self.name!r}: the pattern has no group; expected (...) around what is extracted")
        return self


class ExtractionRules(_Section):
    """How candidates are found in an answer."""

    least_chars: Annotated[int, Field(ge=1, le=2000, description="Characters of what is extracted, at least.")]
    most_chars: Annotated[int, Field(ge=1, le=2000, description="Characters of what is extracted, at most.")]
    confidence: Annotated[float, Field(ge=0, le=1, description="Confidence of an extracted candidate.")]
    personal: Annotated[
        tuple[MemoryType, ...],
        Field(strict=False, description="Types that are the identity's; others are the project's, if there is one."),
    ]
    rules: Annotated[
        tuple[ExtractionRule, ...],
        Field(strict=False, max_length=64, description="In this order; the first that matches in a line is used."),
    ]

    @model_validator(mode="after")
    def _agree(self) -> "ExtractionRules":
        if self.least_chars > self.most_chars:
            raise ValueError(
                f"least_chars {self.least_chars} is above most_chars {self.most_chars}; expected at most it"
            )
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the rule {twice[0]!r} is listed twice; expected each name once")
        return self


class ConflictRules(_Section):
    """Bounds of the state of one slot."""

    members: Annotated[int, Field(ge=2, le=16, description="Values in force or proposed; more are left out.")]
    dismissed: Annotated[int, Field(ge=1, le=1024, description="Dismissed pairs of values, the latest.")]
    accepted: Annotated[int, Field(ge=1, le=1024, description="Values that no_action left as they are, the latest.")]
    exporters: Annotated[int, Field(ge=1, le=256, description="Tools whose last fact is kept, the latest.")]
    fact_confidence: Annotated[float, Field(ge=0, le=1, description="Confidence of a candidate that a fact makes.")]


class ConsensusRules(_Section):
    """How opinions make the strength of a memory (rules 8)."""

    base: Annotated[float, Field(ge=0, le=1, description="Strength without any confidence and vote for it.")]
    span: Annotated[float, Field(ge=0, le=1, description="Added to it where all are for it and sure.")]
    confidence_share: Annotated[float, Field(ge=0, le=1, description="Share of the span that confidence gives.")]
    votes_share: Annotated[float, Field(ge=0, le=1, description="Share of the span that votes for it give.")]
    least: Annotated[float, Field(ge=0, le=1, description="Strength at least.")]
    most: Annotated[float, Field(ge=0, le=1, description="Strength at most.")]
    voters: Annotated[int, Field(ge=1, le=1024, description="Voters whose last opinion is kept, the latest.")]

    @model_validator(mode="after")
    def _agree(self) -> "ConsensusRules":
        if self.least > self.most:
            raise ValueError(f"least {self.least} is above most {self.most}; expected at most it")
        return self


class MemoryRules(_Section):
    """Shipped values in `config/memory.yaml`. Counts are per subject, of one memory or of one slot."""

    active: Annotated[int, Field(ge=1, le=10_000, description="Active memories that are matched, the newest.")]
    candidates: Annotated[int, Field(ge=1, le=10_000, description="Candidates; beyond them none is extracted.")]
    settled: Annotated[int, Field(ge=1, le=100_000, description="Digests of rejected and older memories, the latest.")]
    stems: Annotated[int, Field(ge=1, le=1024, description="Stems kept of one memory.")]
    match: Annotated[float, Field(gt=0, le=1, description="Share of a memory's stems that an answer must have.")]
    least_chars: Annotated[int, Field(ge=1, description="Characters, normalized; a shorter memory is never matched.")]
    delta: Annotated[float, Field(ge=0, le=1, description="Added to the confidence by a reinforcement.")]
    interactions_remembered: Annotated[
        int, Field(ge=1, le=10_000, description="Turns per memory that reinforced it, kept: each counts once.")
    ]
    operator_confidence: Annotated[float, Field(ge=0, le=1, description="Confidence of what an operator writes.")]
    extract_live: Annotated[bool, Field(description="Whether candidates are extracted from every captured answer.")]
    extraction: ExtractionRules
    consensus: ConsensusRules
    conflicts: ConflictRules
