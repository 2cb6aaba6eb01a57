"""How far a competitor was, and when: from the changes it wrote and the times at which the broker appended them.

No competitor is asked anything, so the rule is one for all: a change names its observation, partitions are read in
order, and so a change says that its partition was read up to that observation. Times are the broker's (milliseconds).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.workload import Stream


class Point(NamedTuple):
    """At this time, this many records had been read."""

    ms: int
    read: int


def progress_points(stream: Stream, changes: Iterable[tuple[int, int]]) -> list[Point]:
    """Points in order of time, one per millisecond that brought something. changes: (append time, place in stream)."""
    done = [0] * stream.partitions
    points: list[Point] = []
    for ms, index in sorted(changes):
        place = stream.partition[index]
        done[place] = max(done[place], stream.ordinal[index])
        point = Point(ms, sum(done))
        if points and points[-1].ms == ms:
            points[-1] = point
        else:
            points.append(point)
    return points


def first_at(points: Sequence[Point], read: int) -> Point:
    """The first point at which at least so many had been read. Raises ValueError."""
    for point in points:
        if point.read >= read:
            return point
    shown = points[-1].read if points else 0
    raise ValueError(f"only {shown} records were read, expected {read}")


def rate(points: Sequence[Point], after: int, until: int) -> float:
    """Records per second from the point where `after` had been read to the one where `until` had. Raises ValueError.

    Both ends are moments at which a batch had just been written, so batches count neither for nor against.

    >>> rate([Point(1000, 10), Point(1500, 60), Point(2000, 110)], 10, 100)
    100.0
    """
    begin, end = first_at(points, after), first_at(points, until)
    if end.ms <= begin.ms:
        raise ValueError(f"{end.read - begin.read} records within one millisecond: make the workload larger")
    return 1000.0 * (end.read - begin.read) / (end.ms - begin.ms)
