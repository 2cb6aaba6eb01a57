"""Topic `rekeys`: what became of each state that was to be moved to another subject."""

from typing import Annotated

from pydantic import Field, StringConstraints

from endocrine.schemas.base import Digest, Id, Record, Subject, Ts
from endocrine.schemas.vocabulary import RekeyOutcome

RekeyId = Annotated[
    Digest, Field(description="Digest of scope, alias and registered id: the same for every run of one re-key.")
]
AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,32}$"), Field(description="The agent; no other acts.")]
StateKeyName = Annotated[
    str, StringConstraints(min_length=1, max_length=1024), Field(description="Key of the state: its subject, or finer.")
]
StateDigest = Annotated[Digest, Field(description="SHA-256 of the state's JSON with sorted names.")]


class Rekey(Record):
    """What became of one `adopt` or `retire`."""

    subject: Subject
    rekey_id: RekeyId
    agent: AgentName
    key: StateKeyName
    outcome: Annotated[
        RekeyOutcome,
        Field(
            description="possible or conflict: of a check; adopted, unchanged (it was before) or conflict: of an"
            " adoption; retired, absent (no state is there) or refused: of the end of a state."
        ),
    ]
    reason: Annotated[
        str | None, Field(max_length=64, description="Of a conflict or a refusal; `changed`: since it was planned.")
    ]
    command_id: Annotated[Id, Field(description="Id of the command.")]
    by: Annotated[Id, Field(description="The operator.")]
    ts: Ts
