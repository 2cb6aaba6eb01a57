"""The whole policy, resolved: one document that holds everything a decision depends on."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from endocrine.agents.analytics.rules import AnalyticsRules
from endocrine.agents.attribution.rules import AttributionRules, Primitives
from endocrine.agents.audit.rules import AuditRules
from endocrine.agents.bonds.rules import BondRules
from endocrine.agents.capture.rules import CapturedTurnRules, HeuristicRules
from endocrine.agents.context.rules import ContextRules
from endocrine.agents.conversation.capabilities import ModelRules
from endocrine.agents.conversation.rules import BudgetRules, ConversationRules
from endocrine.agents.feedback.rules import FeedbackRules
from endocrine.agents.gating.applications import Applications
from endocrine.agents.gating.rules import GatingRules, ToolRegistry
from endocrine.agents.linkage.rules import LinkageRules
from endocrine.agents.memory.rules import MemoryRules
from endocrine.agents.moderation.rules import ModerationRules
from endocrine.agents.modulation.rules import HomeostatRules, ReviewRules
from endocrine.agents.policy.sections import (
    BackupRules,
    Bounds,
    Defaults,
    Flags,
    Maps,
    PromptStyles,
    Section,
    Signals,
    SystemBase,
    TimeRules,
    Tools,
)
from endocrine.agents.trust.rules import TrustedStateRules


class Document(Section):
    """Every section. Each agent's package defines its own; none may be left out."""

    signals: Annotated[Signals, Field(description="Weight, cooldown and precedence of each signal.")]
    bounds: Annotated[Bounds, Field(description="Range or values of each parameter.")]
    maps: Annotated[Maps, Field(description="What each signal does to each parameter.")]
    system_base: Annotated[SystemBase, Field(description="What every system message begins with, before the preamble.")]
    prompt_styles: Annotated[PromptStyles, Field(description="System preamble, moderation, stop sequences per mode.")]
    defaults: Annotated[Defaults, Field(description="Parameters before any signal.")]
    flags: Annotated[Flags, Field(description="Switches.")]
    strict_allowlist: Annotated[Tools, Field(description="What a strict turn may use, whatever made it strict.")]
    time: Annotated[TimeRules, Field(description="How far the time that a producer claims is believed.")]
    review: Annotated[ReviewRules, Field(description="When a turn waits for a person.")]
    homeostat: Annotated[HomeostatRules, Field(description="Limits on signals and on the memory of turns.")]
    heuristics: Annotated[HeuristicRules, Field(description="Signals read from a prompt's wording; capture.")]
    attribution: Annotated[AttributionRules, Field(description="Thresholds of the attribution states.")]
    feedback: Annotated[FeedbackRules, Field(description="Style table and drift alarm.")]
    gating: Annotated[GatingRules, Field(description="The gate's constants.")]
    budget: Annotated[BudgetRules, Field(description="Tokens that one identity may spend.")]
    bonds: Annotated[BondRules, Field(description="The bond ledger's constants.")]
    audit: Annotated[AuditRules, Field(description="What a turn's audit bundle holds, and the bounds of what is kept.")]
    tools: Annotated[ToolRegistry, Field(description="The tool registry.")]
    applications: Annotated[Applications, Field(description="What turns of each client may have of its own.")]
    conversation: Annotated[ConversationRules, Field(description="The conversation agent's constants and sentences.")]
    moderation: Annotated[ModerationRules, Field(description="Local moderation: rules and thresholds.")]
    models: Annotated[ModelRules, Field(description="What each model takes.")]
    analytics: Annotated[AnalyticsRules, Field(description="Figures per tool.")]
    trusted_state: Annotated[TrustedStateRules, Field(description="What operators may state of a subject.")]
    primitives: Annotated[Primitives, Field(description="Kind of each known primitive.")]
    capture: Annotated[CapturedTurnRules, Field(description="Which closed turns memory reads.")]
    memory: Annotated[MemoryRules, Field(description="What is kept as memory, extracted, reinforced and compared.")]
    context: Annotated[ContextRules, Field(description="What a model is given beside the prompt.")]
    linkage: Annotated[LinkageRules, Field(description="When two identities may be one actor's: advice, never a gate.")]
    backup: Annotated[BackupRules, Field(description="How many backups are kept, and how old the newest may be.")]


def _annotation(name: str) -> Any:
    field = Document.model_fields[name]
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


SECTIONS: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(_annotation(name)) for name in Document.model_fields}
"""The validator of each section, so that all sections' mistakes are found, not only the first one's."""
