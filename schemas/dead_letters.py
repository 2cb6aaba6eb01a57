"""Topic `dlq-actions`: what people did with dead letters, and why (docs/dead-letters.md)."""

from typing import Annotated, Literal

from pydantic import Field

from endocrine.schemas.base import Count, Id, Record, Ts


class DeadLetterAction(Record):
    """One dead letter was sent again, or set aside for good."""

    action: Annotated[
        Literal["redrive", "discard"], Field(description="What was done: sent again, or set aside for good.")
    ]
    topic: Annotated[str, Field(description="The topic of dead letters, without prefix.")]
    partition: Annotated[Count, Field(description="Partition of the dead letter.")]
    offset: Annotated[Count, Field(description="Of the dead letter.")]
    origin: Annotated[
        str | None,
        Field(description="`topic/partition/offset` of the record that was refused; copies of a dead letter share it."),
    ]
    by: Annotated[Id, Field(description="Who.")]
    reason: Annotated[str | None, Field(max_length=1000, description="Why, in their words.")]
    ts: Annotated[Ts, Field(description="When, by the clock of their machine.")]
