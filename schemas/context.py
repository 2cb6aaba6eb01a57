"""Topic `context-packs`: what models were given beside prompts, and what it was made of."""

from typing import Annotated

from pydantic import Field, StringConstraints

from endocrine.schemas.base import Count, Id, Identity, PolicyDigest, Produced, Record, Ts
from endocrine.schemas.memory import By, ConflictId, MemoryId

PackId = Annotated[
    str,
    StringConstraints(pattern=r"^pack-[0-9a-f]{24}$"),
    Field(description="Id of the pack: `pack-` and 24 hexadecimal digits of the SHA-256 of what was asked and made."),
]
SourceFile = Annotated[
    str, StringConstraints(min_length=1, max_length=1024), Field(description="Path of a passage's file in its folder.")
]
MemoryIds = Annotated[list[MemoryId], Field(max_length=512, description="Memories in it, in their order.")]


class ContextUsed(Record):
    """What the context of a turn was made of, in short."""

    pack_id: Annotated[PackId | None, Field(description="The pack, where one was built.")] = None
    memories: MemoryIds = Field(default_factory=list)
    chunks: Annotated[list[SourceFile], Field(max_length=20, description="Files of the passages in it.")] = Field(
        default_factory=list
    )


class PackedChunk(Record):
    """A passage of a pack."""

    source_file: SourceFile
    heading_path: Annotated[str, Field(description="Markdown headings above it, joined with ` > `; empty: none.")]
    score: Annotated[float, Field(description="What ordered it; comparable within one pack only.")]


class ContextPack(Produced):
    """A pack as a door built it. Nothing is decided from it: the turn that it was for carries its text."""

    pack_id: PackId
    identity: Identity
    project: Annotated[Id | None, Field(description="Project that it was for; null: none.")]
    formatted_context: Annotated[str, Field(description="The text; empty where nothing was found.")]
    total_chars: Annotated[Count, Field(description="Characters of the text.")]
    budget: Annotated[Count, Field(description="Characters that it might have.")]
    project_state_chars: Annotated[Count, Field(description="Characters of the block of trusted state.")]
    state: Annotated[list[str], Field(description="`category/key` of the trusted state in it.")]
    memories_used: MemoryIds
    chunks: Annotated[list[PackedChunk], Field(max_length=20, description="Passages in it.")]
    disputed: Annotated[list[ConflictId], Field(description="Open conflicts that it names.")]
    as_of: Annotated[
        dict[str, Count],
        Field(description="Up to which offset, exclusive, the read models had each `topic/partition` at least."),
    ]
    policy: PolicyDigest
    by: By
    ts: Ts
