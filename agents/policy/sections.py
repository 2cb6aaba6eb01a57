"""The policy's own sections: signals, bounds, maps, styles, defaults and flags (rules, sections 1 and 2)."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from endocrine.schemas.base import STRICT
from endocrine.schemas.vocabulary import Mode, RegulatedSignal, Tool


class Section(BaseModel):
    """Strict, closed and frozen, like every part of the policy."""

    model_config = STRICT


class SignalRules(Section):
    """One signal. Two of equal precedence: the one of greater weight is stronger, then the one named first."""

    name: RegulatedSignal
    weight: Annotated[float, Field(gt=0, le=1, description="Orders explanations; weight under weighted_mean.")]
    cooldown_ms: Annotated[int, Field(ge=0, le=2**40, description="Milliseconds of event time.")]
    precedence: Annotated[float, Field(gt=0, le=1000, description="1 is the strongest; a fraction lies between.")]


Signals = Annotated[tuple[SignalRules, ...], Field(strict=False)]
NumberRange = Annotated[tuple[float, float], Field(strict=False, description="[lowest, highest]")]
WholeRange = Annotated[tuple[int, int], Field(strict=False, description="[lowest, highest]")]
Modes = Annotated[tuple[Mode, ...], Field(strict=False, min_length=1)]
Tools = Annotated[tuple[Tool, ...], Field(strict=False)]


class Bounds(Section):
    """The range or the values of each parameter, within those of the schema."""

    temperature: NumberRange
    top_p: NumberRange
    max_output_tokens: WholeRange
    reasoning_effort: NumberRange
    retrieval_k: WholeRange
    planner_beam: WholeRange
    memory_write: NumberRange
    safety_mode: Modes
    tool_allowlist: Tools


class Defaults(Section):
    """The value of each parameter before any signal."""

    temperature: float
    top_p: float
    max_output_tokens: int
    reasoning_effort: float
    retrieval_k: int
    planner_beam: int
    memory_write: float
    safety_mode: Mode
    tool_allowlist: Tools


Combine = Literal["precedence", "tightest", "weighted_mean"]


class TimeRules(Section):
    """Time that producers claim (rules, section 10)."""

    ahead_s: Annotated[
        float,
        Field(gt=0, le=86_400, description="Seconds that `ts` may lie after the append time; more is a dead letter."),
    ]


class MapRule(Section):
    """How one signal sets one parameter.

    combine: `precedence`, the strongest signal has the last word; `tightest`, the tighter of the value so far and
    this one; `weighted_mean`, the mean by weight of this value and those that weaker signals gave.
    """

    expression: Annotated[str, StringConstraints(min_length=1)]
    combine: Combine = "precedence"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`parameter: expression` for short; what YAML reads as a number or a list is taken as it was written."""
        if isinstance(value, dict):
            if "expression" in value:
                return {**value, "expression": expression_text(value["expression"])}
            return value
        return {"expression": expression_text(value)}


def expression_text(value: Any) -> Any:
    """Return the text of an expression that YAML took for a number or a list; anything else unchanged.

    >>> expression_text(["retrieval"]), expression_text(0.5)
    ('[retrieval]', '0.5')
    """
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return f"[{', '.join(value)}]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return value


class BackupRules(Section):
    """How many backups are kept, and how old the newest one may be (memory, section 10)."""

    daily: Annotated[int, Field(ge=1, le=3660, description="Newest days that keep their newest backup.")]
    weekly: Annotated[int, Field(ge=0, le=520, description="Newest Sundays that keep one.")]
    monthly: Annotated[int, Field(ge=0, le=120, description="Newest firsts of a month that keep one.")]
    warn_days: Annotated[float, Field(gt=0, le=3660, description="Age of the newest valid backup that is warned of.")]
    fail_days: Annotated[float, Field(gt=0, le=3660, description="Age from which `backup health` fails.")]
    drill_days: Annotated[float, Field(gt=0, le=3660, description="Age of the last verified drill that is warned of.")]

    @model_validator(mode="after")
    def _warns_first(self) -> Self:
        if self.warn_days > self.fail_days:
            raise ValueError(
                f"warn_days {self.warn_days:g} is above fail_days {self.fail_days:g}; a warning comes first"
            )
        return self


ParameterName = Literal[
    "temperature",
    "top_p",
    "max_output_tokens",
    "reasoning_effort",
    "retrieval_k",
    "planner_beam",
    "memory_write",
    "safety_mode",
    "tool_allowlist",
]
Maps = dict[RegulatedSignal, dict[ParameterName, MapRule]]


SystemBase = Annotated[str, StringConstraints(max_length=8000)]


class PromptStyle(Section):
    """The instructions to the model in one mode."""

    system_preamble: Annotated[str, StringConstraints(min_length=1, max_length=8000)]
    moderation_preset: Literal["high", "standard"]
    stop_sequences: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...],
        Field(strict=False, max_length=4, description="At most 4, as model providers take."),
    ]


class PromptStyles(Section):
    """One style per mode."""

    strict: PromptStyle
    balanced: PromptStyle
    creative: PromptStyle


class Flags(Section):
    """Switches; `ENDOCRINE_FLAG_NAME` in the environment overrides one at start.

    A tool that is added by configuration may bring a flag of its own: a further entry, upper case, true or false.
    `endocrine.agents.policy.checks` refuses one that no tool hangs on.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, bool] = Field(init=False)

    BROWSER_TOOL: Annotated[bool, Field(description="The browser may be on an allowlist.")]
    STRICT_DEFAULT: Annotated[bool, Field(description="Every turn is strict.")]
    TOOL_ANALYTICS: Annotated[bool, Field(description="Figures per tool are kept; incidents always are.")]
    SEARCH_TOOL: Annotated[bool, Field(description="Web search may be on an allowlist.")]
    CODE_EXEC_TOOL: Annotated[bool, Field(description="Running code may be on an allowlist.")]

    @property
    def names(self) -> tuple[str, ...]:
        """All flags: the shipped ones, then those that tools brought."""
        return (*type(self).model_fields, *(self.__pydantic_extra__ or {}))

    def on(self, name: str) -> bool:
        """Return whether a flag is on. An unknown name is a programming error: names are checked when the policy
        loads."""
        return bool(getattr(self, name))
