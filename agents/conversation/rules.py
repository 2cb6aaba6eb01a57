"""The `conversation` and `budget` sections of the policy; shipped values in the files of `config/` of these names."""

from functools import cached_property
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, Field, StringConstraints, model_validator

from endocrine.agents.moderation.patterns import Matcher, compile_matcher
from endocrine.agents.moderation.rules import Name, Run
from endocrine.schemas.base import STRICT
from endocrine.schemas.vocabulary import Finish, Mode

Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Chars = Annotated[int, Field(ge=16, le=1_000_000, description="Characters.")]
Wait = Annotated[int, Field(ge=1, le=2**40, description="Milliseconds of event time.")]
Most = Annotated[int, Field(ge=1, le=1024)]


class Limits(BaseModel):
    """Bounds of what one identity's conversations may hold; memory per identity is constant."""

    model_config = STRICT

    open_turns: Most
    open_chars: Annotated[int, Field(ge=1000, description="Characters of all open turns, room for outputs included.")]
    closed_turns: Most
    early_modulations: Most
    prompt_chars: Chars
    context_chars: Chars
    answer_chars: Chars
    sessions: Most
    history_turns: Annotated[int, Field(ge=0, le=1024, description="Turns of one session that are kept.")]
    history_chars: Chars
    calls_per_step: Most
    arguments_chars: Chars
    tool_output_chars: Chars
    exchange_chars: Annotated[int, Field(ge=100, description="Characters of what tools gave to one turn, in all.")]
    summary_chars: Chars
    messages_chars: Annotated[Chars, Field(description="Characters of a conversation that an application gives.")]
    application_output_chars: Annotated[Chars, Field(description="Characters of a result of an application's tool.")]
    application_exchange_chars: Annotated[
        Chars, Field(description="Characters of what tools gave to one turn with functions of its application.")
    ]


class Waits(BaseModel):
    """How long the agent waits, in event time; what is not there by then is given up, and fails closed."""

    model_config = STRICT

    modulation_ms: Wait
    decision_ms: Wait
    approval_ms: Wait
    result_ms: Wait
    continuation_ms: Annotated[
        int,
        Field(ge=1, le=2**40, description="For results of the application's own tools, milliseconds of event time."),
    ]
    reply_ms: Annotated[int, Field(ge=1, le=2**40, description="`deadline_ms` of a request, milliseconds.")]
    reply_grace_ms: Annotated[int, Field(ge=0, le=2**40, description="More that the reply may need to arrive.")]


class Retrieval(BaseModel):
    """The search before the first model step."""

    model_config = STRICT

    enabled: bool
    tool: Annotated[str, Field(description="Canonical name of the tool that is asked.")]
    k_max: Annotated[int, Field(ge=1, le=20, description="`k` of the call, at most: the tool's own bound.")]
    snippets: Annotated[int, Field(ge=1, le=8, description="Snippets shown to the model, at most 8.")]
    snippet_chars: Chars
    query_chars: Chars


class GuardianRule(BaseModel):
    """A rule over the final output; it fires where any of its phrases, marks or runs occurs."""

    model_config = STRICT

    phrases: Annotated[tuple[str, ...], Field(strict=False)] = ()
    marks: Annotated[tuple[str, ...], Field(strict=False)] = ()
    runs: Annotated[tuple[Run, ...], Field(strict=False)] = ()
    modes: Annotated[tuple[Mode, ...], Field(strict=False, min_length=1)] = ("strict", "balanced", "creative")


class Guardian(BaseModel):
    """The verdict over the final output."""

    model_config = STRICT

    provider: Annotated[
        Literal["local", "model"], Field(description="model: a model's verdict beside the rules, as a record.")
    ]
    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    instruction: Text
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)]
    score: Annotated[float, Field(ge=0, le=1, description="alignment_risk of the turn after a veto.")]
    preamble_words: Annotated[
        int, Field(ge=0, le=1000, description="So many consecutive words of the preamble in an answer: a veto; 0: off.")
    ]
    cite_modes: Annotated[
        tuple[Mode, ...], Field(strict=False, description="Modes in which an answer from snippets must name a source.")
    ]
    rules: dict[Name, GuardianRule]

    @cached_property
    def matchers(self) -> tuple[tuple[str, GuardianRule, Matcher], ...]:
        """Each rule, ready to run."""
        return tuple(
            (name, rule, compile_matcher(rule.phrases, rule.marks, [(run.prefix, run.chars) for run in rule.runs]))
            for name, rule in self.rules.items()
        )


class Words(BaseModel):
    """Every sentence the agent says to the model, besides the preambles. `{tool}` and `{reason}` are filled in."""

    model_config = STRICT

    concise: Text
    stricter: Text
    snippets: Text
    context: Text
    tool_output: Text
    not_allowed: Text
    denied: Text
    not_run: Text
    withheld_output: Text


class ConversationRules(BaseModel):
    """Constants of the conversation agent."""

    model_config = STRICT

    limits: Limits
    waits: Waits
    retrieval: Retrieval
    guardian: Guardian
    words: Words
    closings: Annotated[
        dict[str, Text], Field(description="The text for the user where there is no answer, by `finish`.")
    ]

    @model_validator(mode="after")
    def _every_end_has_a_sentence(self) -> Self:
        wanted = set(get_args(Finish)) - {"answered", "cut"}
        if wrong := sorted(wanted ^ set(self.closings)):
            raise ValueError(f"closings: {', '.join(wrong)}: missing or unknown, expected {', '.join(sorted(wanted))}")
        return self


class BudgetRules(BaseModel):
    """Tokens that one identity may spend."""

    model_config = STRICT

    limit: Annotated[int, Field(ge=1, le=2**50, description="Tokens per identity and window, prompts and answers.")]
    window_s: Annotated[float, Field(gt=0, description="Seconds of event time, from the window's first request on.")]
    soft_share: Annotated[float, Field(ge=0, le=1, description="Share of the limit above which turns go concise.")]
    concise_output_tokens: Annotated[int, Field(ge=1, le=2048, description="max_output_tokens of a concise turn.")]
    bytes_per_token: Annotated[
        int, Field(ge=1, le=8, description="1 is an upper bound on tokens; more is an estimate that may be exceeded.")
    ]
    message_tokens: Annotated[int, Field(ge=0, le=256, description="Tokens a provider adds per message, at most.")]
    image_tokens: Annotated[
        int, Field(ge=0, le=2**20, description="Tokens held back for an image; an estimate that may be exceeded.")
    ]
