"""The `homeostat` section of the policy: limits on signals and on what is kept of turns (rules, section 1)."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationInfo, field_validator

from endocrine.schemas.base import STRICT
from endocrine.schemas.vocabulary import Signal

Event = Literal["guardian_veto", "moderation_flag", "tool_failure", "budget_near"]
"""What may raise a signal by itself: an incident of the guardian or of moderation, a tool result that is no success, a
turn that opens while most of the identity's token budget is spent. A blocked tool is no such risk: it tightens its
turn."""


class _Section(BaseModel):
    model_config = STRICT


class InlineRules(_Section):
    """What an inline signal or a live heuristic leaves unsaid."""

    ttl_ms: Annotated[int, Field(ge=0, le=2**40, description="Milliseconds of event time.")]
    source: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class BudgetRules(_Section):
    """The number of signals that one source may have accepted."""

    signals: Annotated[int, Field(ge=1, description="Accepted signals per identity, source and window.")]
    window_ms: Annotated[int, Field(ge=1, le=2**40, description="Milliseconds, from the window's first signal on.")]
    sources: Annotated[
        int,
        Field(ge=1, le=1024, description="Sources counted apart; further ones share one budget: memory is bounded."),
    ]


class StabilizeRules(_Section):
    """The counter-signal against a run of stress."""

    threshold: Annotated[float, Field(ge=0, le=1, description="A stress level at or above it continues a run.")]
    consecutive: Annotated[int, Field(ge=1, le=1000, description="Accepted stress signals that make a run.")]
    level: Annotated[float, Field(ge=0, le=1, description="Level of `stabilize`.")]
    ttl_ms: Annotated[int, Field(ge=0, le=2**40, description="Milliseconds it stays active.")]
    source: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Emitter(_Section):
    """One event that raises one signal, through the same homeostat as any other."""

    event: Event
    signal: Signal
    level: Annotated[
        Annotated[float, Field(ge=0, le=1)] | Literal["score"],
        Field(description="0..1; score: the highest score that the incident names, 1 where it names none."),
    ]
    ttl_ms: Annotated[int, Field(ge=0, le=2**40, description="Milliseconds; 0: the event's own turn only.")]
    source: Annotated[str, StringConstraints(min_length=1, max_length=256)]

    @field_validator("level")
    @classmethod
    def _has_a_score(cls, level: float | str, info: ValidationInfo) -> float | str:
        event = info.data.get("event")
        if level == "score" and event not in (None, "guardian_veto", "moderation_flag"):
            raise ValueError(f"{event} has no score: give a level 0..1")
        return level


class MemoryRules(_Section):
    """Bounds of the state per identity; beyond it the oldest goes."""

    open_turns: Annotated[int, Field(ge=1, le=1024, description="Open turns; the oldest one above it is closed.")]
    answered_turns: Annotated[
        int, Field(ge=1, le=1024, description="Open turns that we answer ourselves (`respond`), beside those.")
    ]
    closed_turns: Annotated[int, Field(ge=1, le=4096, description="Recently closed turns, to know a second opening.")]
    signals_per_name: Annotated[int, Field(ge=1, le=256, description="Active signals of one name.")]
    one_turn_signals: Annotated[int, Field(ge=1, le=1024, description="Signals with ttl 0 for a turn not opened yet.")]
    risk_signals: Annotated[
        int, Field(ge=1, le=256, description="Readings of alignment_risk kept one by one; beyond it they are joined.")
    ]
    risk_waits_ms: Annotated[
        int, Field(ge=1, le=2**40, description="Milliseconds that an alignment_risk with ttl 0 waits for its turn.")
    ]
    suppressed: Annotated[int, Field(ge=0, le=1024, description="Suppressed signals kept for the next explanation.")]
    listed: Annotated[int, Field(ge=1, le=4096, description="Signals one modulation lists; those used come first.")]


class ReviewRules(_Section):
    """When a turn waits for a person: the `review` section."""

    hold_at: Annotated[
        float | None, Field(ge=0, le=1, description="alignment_risk from which a turn is held; null: none is.")
    ]
    hold_s: Annotated[float, Field(gt=0, le=2**30, description="Seconds of event time; then refusal hold_expired.")]


class HomeostatRules(_Section):
    """Constants of the modulation agent; shipped values in `config/homeostat.yaml`."""

    inline: InlineRules
    budget: BudgetRules
    caps: Annotated[
        dict[Annotated[str, StringConstraints(min_length=1, max_length=256)], Annotated[float, Field(ge=0, le=1)]],
        Field(description="Source to the highest level it may raise; a source that is not named has none."),
    ]
    stabilize: StabilizeRules
    emitters: Annotated[tuple[Emitter, ...], Field(strict=False, max_length=64, description="Events to signals.")]
    review_from: Annotated[float, Field(ge=0, le=1, description="alignment_risk from which a person should look.")]
    memory: MemoryRules
