"""The lines of a pack, in their order. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Json = Mapping[str, Any]
_FIRST_TYPES = ("identity", "preference")
"""Of personal memories, the types that go before the others."""
_RULE = "---"
"""What a block's header begins with; a passage's line that does is moved by a blank, so that it is not one."""


class Line(NamedTuple):
    """One line, and what it is of."""

    text: str
    id: str
    """`category/key` of trusted state, or the id of a memory."""
    conflict_id: str | None = None
    """Open conflict that it names."""


class Chunk(NamedTuple):
    """A passage that a search found."""

    source_file: str
    """Path in the folder, `/` between parts."""
    heading_path: str
    """Markdown headings above it, joined with ` > `; empty: none."""
    text: str
    score: float


def state_lines(trusted: Iterable[Json], memories: Iterable[Json]) -> list[Line]:
    """Return trusted state in force, by category and key; `(curated)` where it goes before a memory of its slot."""
    slots = {one["slot"] for one in memories if one["status"] == "active" and one["slot"] is not None}
    entries = sorted(
        (one for one in trusted if one["status"] == "active"), key=lambda one: (one["category"], one["key"])
    )
    return [_state_line(one, curated=one["key"] in slots) for one in entries]


def curated_lines(trusted: Iterable[Json], memories: Iterable[Json]) -> list[Line]:
    """Return only the lines that go before a memory."""
    return [line for line in state_lines(trusted, memories) if line.text.endswith(" (curated)")]


def _state_line(entry: Json, *, curated: bool) -> Line:
    text = f"[{entry['category']}] {entry['key']}: {_one_line(entry['value'])}"
    return Line(f"{text} (curated)" if curated else text, f"{entry['category']}/{entry['key']}")


def memory_lines(
    memories: Iterable[Json], trusted: Iterable[Json], conflicts: Iterable[Json], *, personal: bool
) -> list[Line]:
    """Return the active memories of one subject whose slot no trusted state is on; `(disputed, conflict ID)` where a
    conflict about the slot is open.

    By confidence, references and id; of personal ones, identity and preference first.
    """
    curated = {one["key"] for one in trusted if one["status"] == "active"}
    disputed = {one["slot"]: one["conflict_id"] for one in conflicts if one["status"] == "open"}
    shown = [one for one in memories if one["status"] == "active" and one["slot"] not in curated]
    shown.sort(
        key=lambda one: (
            personal and one["type"] not in _FIRST_TYPES,
            -one["confidence"],
            -one["reference_count"],
            one["memory_id"],
        )
    )
    return [_memory_line(one, disputed.get(one["slot"])) for one in shown]


def _memory_line(one: Json, conflict_id: str | None) -> Line:
    text = f"[{one['type']}] {_one_line(one['content'])}"
    return Line(
        text if conflict_id is None else f"{text} (disputed, conflict {conflict_id})", one["memory_id"], conflict_id
    )


def ordered(chunks: Sequence[Chunk], names: Iterable[str], boost: float) -> list[Chunk]:
    """Return the passages, best first, ties as they came; the score of one whose path has a part that is one of these
    names, in any case, counts `boost` times."""
    wanted = {name.lower() for name in names if name}

    def score(chunk: Chunk) -> float:
        named = wanted & {part.lower() for part in chunk.source_file.split("/")}
        return round(chunk.score * boost, 6) if named else chunk.score

    found = [chunk._replace(score=score(chunk)) for chunk in chunks]
    return sorted(found, key=lambda chunk: -chunk.score)


def chunk_lines(chunk: Chunk) -> list[str]:
    """Return the lines of a passage: where it is from, then what it says."""
    place = f"{chunk.source_file} > {chunk.heading_path}" if chunk.heading_path else chunk.source_file
    text = [line.rstrip() for line in chunk.text.splitlines() if line.strip()]
    return [f"[{_one_line(place)}]", *(f" {line}" if line.startswith(_RULE) else line for line in text)]


def project_names(project: str, aliases: Iterable[str] = ()) -> list[str]:
    """Return what a path may name a project by: its id, its aliases, the id's part after the first `-`.

    >>> project_names("p05-pump", ["pump station"])
    ['p05-pump', 'pump station', 'pump']
    """
    return [project, *aliases, project.partition("-")[2]]


def _one_line(text: str) -> str:
    """No value makes a line of its own, such as a header."""
    return " ".join(text.split())
