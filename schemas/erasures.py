"""Topics `erasure-events` and `ops-events`: what became of each state that was to be erased, and what operators did."""

from typing import Annotated, Literal

from pydantic import Field

from endocrine.schemas.base import Bag, Digest, Id, Record, Subject, Ts
from endocrine.schemas.rekeys import AgentName, StateKeyName
from endocrine.schemas.vocabulary import ErasureOutcome

OPS = "$ops"
"""The identity of all records of `ops-events`: one partition, one order."""
ErasureId = Annotated[Digest, Field(description="Digest of the subject: the same for every run of one erasure.")]


class ErasureEvent(Record):
    """What one agent made of one `erase`."""

    subject: Subject
    erasure_id: ErasureId
    agent: AgentName
    key: StateKeyName
    outcome: Annotated[
        ErasureOutcome,
        Field(
            description="erased: the state is gone; reduced: it is another subject's, without the erased one;"
            " unchanged: it does not name the erased one; absent: no state is there; claimed: the name is kept as a"
            " digest; passed: the agent made a batch; refused: the key is no key of this subject."
        ),
    ]
    command_id: Annotated[Id, Field(description="Id of the command.")]
    by: Annotated[Id, Field(description="The operator.")]
    ts: Ts


class OpsEvent(Record):
    """What an operator did to a deployment as a whole. It names nobody whom it was about."""

    identity: Annotated[Literal["$ops"], Field(description="The deployment itself.")]
    kind: Annotated[Literal["drill", "erasure"], Field(description="What was done.")]
    outcome: Annotated[Literal["done", "failed", "incomplete"], Field(description="How it ended.")]
    report: Annotated[Bag, Field(description="Of a drill: stamp, counts, seconds. Of an erasure: its receipt.")]
    by: Annotated[Id, Field(description="The operator.")]
    ts: Ts
