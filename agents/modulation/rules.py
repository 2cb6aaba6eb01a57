"""The `homeostat` section of the policy: limits on signals and on what is remembered of turns (rules, section 1)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class InlineRules(_Section):
    """What an inline signal or a live heuristic leaves unsaid."""

    ttl_ms: Annotated[int, Field(ge=0, le=2**40, description="Milliseconds of event time.")]
    source: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class BudgetRules(_Section):
    """How many signals one source may have accepted."""

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


class MemoryRules(_Section):
    """How much is remembered per identity; beyond it the oldest goes."""

    open_turns: Annotated[int, Field(ge=1, le=1024, description="Open turns; the oldest one above it is closed.")]
    closed_turns: Annotated[int, Field(ge=1, le=4096, description="Recently closed turns, to know a second opening.")]
    signals_per_name: Annotated[int, Field(ge=1, le=256, description="Active signals of one name.")]
    one_turn_signals: Annotated[int, Field(ge=1, le=1024, description="Signals with ttl 0 for a turn not opened yet.")]
    suppressed: Annotated[int, Field(ge=0, le=1024, description="Suppressed signals kept for the next explanation.")]
    listed: Annotated[int, Field(ge=1, le=4096, description="Signals one modulation lists; those used come first.")]


class HomeostatRules(_Section):
    """Constants of the modulation agent; shipped values in `config/homeostat.yaml`."""

    inline: InlineRules
    budget: BudgetRules
    caps: Annotated[
        dict[Annotated[str, StringConstraints(min_length=1, max_length=256)], Annotated[float, Field(ge=0, le=1)]],
        Field(description="Source to the highest level it may raise; a source that is not named has none."),
    ]
    stabilize: StabilizeRules
    review_from: Annotated[float, Field(ge=0, le=1, description="alignment_risk from which a person should look.")]
    memory: MemoryRules
