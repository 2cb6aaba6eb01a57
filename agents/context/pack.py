"""The pack: three blocks within one budget of characters. Pure: a door reads, records, and measures."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from endocrine.agents.canonical import canonical_json
from endocrine.agents.context.fit import fit
from endocrine.agents.context.lines import (
    Chunk,
    Json,
    Line,
    chunk_lines,
    curated_lines,
    memory_lines,
    ordered,
    project_names,
    state_lines,
)
from endocrine.agents.context.rules import MOST_MEMORIES, ContextRules

STATE_HEADER = "--- Trusted Project State ---"
MEMORY_HEADER = "--- Memories ---"
CHUNK_HEADER = "--- Passages ---"
_BETWEEN = "\n\n"


class Subjects(NamedTuple):
    """Whom a pack is for."""

    identity: str | None
    project: str | None
    """Registered id; None: no project."""
    aliases: Sequence[str] = ()
    """Further names of the project."""


class SubjectView(NamedTuple):
    """What the read models have of one subject, in any order; what is not in force is passed over."""

    trusted: Sequence[Json] = ()
    memories: Sequence[Json] = ()
    conflicts: Sequence[Json] = ()


class Views(NamedTuple):
    """What a pack is made from."""

    personal: SubjectView = SubjectView()
    project: SubjectView = SubjectView()
    chunks: Sequence[Chunk] = ()


class Pack(NamedTuple):
    """A context pack, and what it was made of."""

    pack_id: str
    formatted_context: str
    budget: int
    project_state_chars: int
    """Characters of the block of trusted state."""
    state: tuple[str, ...]
    """`category/key` of the project's trusted state that is shown."""
    memories_used: tuple[str, ...]
    chunks: tuple[Chunk, ...]
    """Passages of which something is shown, with the score that ordered them."""
    disputed: tuple[str, ...]
    """Open conflicts that are named."""


def build_context(prompt: str, subjects: Subjects, views: Views, budget: int, rules: ContextRules) -> Pack:
    """Return the pack of a prompt: trusted state of the project, memories, passages; at most `budget` characters.

    Each block has its share, and what the block before it left. Candidates, and what is superseded or invalid, are in
    no block. An identity's trusted state is shown only where it goes before one of its memories, among these.
    """
    mine, project = views.personal, views.project if subjects.project is not None else SubjectView()
    blocks: list[str] = []
    room = 0

    def take(header: str, lines: Sequence[str], share: int) -> int:
        nonlocal room
        between = len(_BETWEEN) if blocks else 0
        room += share
        text, count = fit(header, lines, room - between)
        if text:
            blocks.append(text)
            room -= between + len(text)
        return count

    state_share = min(budget, int(budget * rules.state_share))
    memory_share = min(budget - state_share, int(budget * rules.memory_share))
    state = state_lines(project.trusted, project.memories)
    state = state[: take(STATE_HEADER, [line.text for line in state], state_share)]
    state_chars = len(blocks[0]) if blocks else 0
    memories = [
        *curated_lines(mine.trusted, mine.memories),
        *memory_lines(mine.memories, mine.trusted, mine.conflicts, personal=True),
        *memory_lines(project.memories, project.trusted, project.conflicts, personal=False),
    ][:MOST_MEMORIES]
    memories = memories[: take(MEMORY_HEADER, [line.text for line in memories], memory_share)]
    names = [] if subjects.project is None else project_names(subjects.project, subjects.aliases)
    chunks = ordered(views.chunks, names, rules.project_boost)
    texts = [chunk_lines(chunk) for chunk in chunks]
    count = take(CHUNK_HEADER, [line for lines in texts for line in lines], budget - state_share - memory_share)
    formatted = _BETWEEN.join(blocks)
    return Pack(
        _pack_id(prompt, subjects, budget, formatted),
        formatted,
        budget,
        state_chars,
        tuple(line.id for line in state),
        tuple(line.id for line in memories if _is_memory(line)),
        tuple(_shown(chunks, texts, count)),
        tuple(dict.fromkeys(line.conflict_id for line in memories if line.conflict_id is not None)),
    )


def _is_memory(line: Line) -> bool:
    return "/" not in line.id


def _shown(chunks: Sequence[Chunk], texts: Sequence[Sequence[str]], count: int) -> list[Chunk]:
    """The passages of which a line beyond their place is among the first `count` lines."""
    found = []
    for chunk, lines in zip(chunks, texts, strict=True):
        if count > 1:
            found.append(chunk)
        count -= len(lines)
    return found


def _pack_id(prompt: str, subjects: Subjects, budget: int, formatted: str) -> str:
    made: Any = [subjects.identity, subjects.project, prompt, budget, formatted]
    return f"pack-{hashlib.sha256(canonical_json(made)).hexdigest()[:24]}"
