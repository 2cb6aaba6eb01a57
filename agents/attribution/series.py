"""The bounded memory of one (identity, primitive): what is kept of its observations, in the order of their ts.

Three lists in step, oldest first, equal ts by arrival: ts, kept value, and mark (CRC-32 of the observation's id: with
equal ts and value it tells a copy from another observation, in 10 bytes instead of 256). Both functions return new
lists and None for a copy. Whatever the order of arrival (equal ts keeping theirs), the lists end the same.
"""

from bisect import bisect_right
from typing import Any

Lists = tuple[list[float], list[Any], list[int]]


def add_to_window(lists: Lists, ts: float, value: Any, mark: int, most: int) -> Lists | None:
    """Keep the last `most` observations. One that is older than all of them, when they are full, is not kept."""
    stamps, values, marks = lists
    if not stamps or ts > stamps[-1]:
        kept = 1 - most
        stamps, values, marks = stamps[kept:], values[kept:], marks[kept:]
        stamps.append(ts)
        values.append(value)
        marks.append(mark)
        return stamps, values, marks
    at = bisect_right(stamps, ts)
    if _is_copy(lists, at, ts, value, mark):
        return None
    return (
        [*stamps[:at], ts, *stamps[at:]][-most:],
        [*values[:at], value, *values[at:]][-most:],
        [*marks[:at], mark, *marks[at:]][-most:],
    )


def _is_copy(lists: Lists, end: int, ts: float, value: Any, mark: int) -> bool:
    stamps, values, marks = lists
    at = end - 1
    while at >= 0 and stamps[at] == ts:
        if marks[at] == mark and values[at] == value:
            return True
        at -= 1
    return False


def add_to_distinct(
    lists: Lists, dropped: float | None, ts: float, value: str, mark: int, window_s: float, most: int
) -> tuple[Lists, float | None] | None:
    """Keep the latest ts of each distinct value not older than `window_s` before the newest, at most `most` of them.

    `dropped` is the latest ts of those that `most` pushed out, as long as that lies inside the window: then, and only
    then, there are more distinct values in the window than are kept.
    """
    stamps, values, marks = lists[0][:], lists[1][:], lists[2][:]
    if value in values:
        at = values.index(value)
        if stamps[at] > ts:
            return lists, dropped
        if stamps[at] == ts and marks[at] == mark:
            return None
        del stamps[at], values[at], marks[at]
    at = bisect_right(stamps, ts)
    stamps.insert(at, ts)
    values.insert(at, value)
    marks.insert(at, mark)
    newest = stamps[-1]
    if newest - stamps[0] > window_s:
        first = next(index for index, stamp in enumerate(stamps) if newest - stamp <= window_s)
        del stamps[:first], values[:first], marks[:first]
    over = len(stamps) - most
    if over > 0:
        dropped = stamps[over - 1] if dropped is None else max(dropped, stamps[over - 1])
        del stamps[:over], values[:over], marks[:over]
    if dropped is not None and newest - dropped > window_s:
        dropped = None
    return (stamps, values, marks), dropped
