"""Topics `feedback` and `style-tables`."""

from typing import Annotated

from pydantic import Field, StringConstraints

from endocrine.schemas.base import Count, Id, Identity, Produced, Record, Ts
from endocrine.schemas.vocabulary import Intent


class FeedbackCard(Produced):
    """A person's verdict on one turn. The note is never carried on; of symbols only the class of intent."""

    identity: Identity
    target_action_id: Annotated[Id, Field(description="An audit_id.")]
    rating: Annotated[int, Field(ge=1, le=5, description="1 (bad) to 5 (good).")]
    note: Annotated[
        Annotated[str, StringConstraints(max_length=1000)] | None,
        Field(description="Free text; up to 1,000 characters. Its wording is moderated, and it is never carried on."),
    ] = None
    context_hash: Annotated[
        Annotated[str, StringConstraints(max_length=128)] | None,
        Field(description="Hash of what the person saw, for the producer's own use."),
    ] = None
    tags: Annotated[
        list[Annotated[str, StringConstraints(max_length=64)]] | None,
        Field(description="Labels for the producer's own use."),
    ] = None
    symbols: Annotated[list[Intent] | None, Field(description="Intents; a raw emoji is refused.")] = None
    ts: Ts


class Intents(Record):
    """How often each intent was expressed in the cards that count."""

    affirm: Annotated[Count, Field(description="Cards that agree.")]
    reject: Annotated[Count, Field(description="Cards that disagree.")]
    more_detail: Annotated[Count, Field(description="Cards that ask for more.")]
    soften: Annotated[Count, Field(description="Cards that ask for a milder tone.")]
    ground: Annotated[Count, Field(description="Cards that ask for sources.")]


class StyleTable(Record):
    """Nudges of style for one identity, bounded, and the drift lock."""

    identity: Identity
    temperature_delta: Annotated[float, Field(ge=-0.2, le=0.2, description="Added to the temperature.")]
    top_p_delta: Annotated[float, Field(ge=-0.2, le=0.2, description="Added to top_p.")]
    memory_write_boost: Annotated[float, Field(ge=0, le=0.2, description="Added to memory_write.")]
    verbosity_bias: Annotated[float, Field(ge=-0.3, le=0.3, description="A hint for user interfaces.")]
    cards: Annotated[Count, Field(description="Cards that count, at most 200.")]
    intents: Annotated[Intents, Field(description="How often each intent was expressed.")]
    locked: Annotated[bool, Field(description="Locked to strict until an operator releases it.")]
    unknown_actions: Annotated[Count, Field(description="Of the cards, those whose turn was not known.")]
    ts: Ts
