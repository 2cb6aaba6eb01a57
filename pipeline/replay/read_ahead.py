"""Reads a log at rising offsets, some records at once where they are asked for one by one or in short runs."""

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

from endocrine.pipeline.replay.record_log import RecordLog, SerializedRecord

AHEAD = 64
"""Records read from a log at once."""
_T = TypeVar("_T")


class Window(Generic[_T]):
    """Runs of a log's items. It does not see what is added meanwhile.

    read: the items from one place to another (exclusive), as far as there are some. offset_of: an item.
    """

    def __init__(
        self, log: RecordLog, read: Callable[[int, int], Sequence[_T]], offset_of: Callable[[_T], int]
    ) -> None:
        self._log, self._read, self._offset_of = log, read, offset_of
        self._items: Sequence[_T] = ()
        self._first = 0
        """Place in the log of the first one here."""

    def run(self, first: int, count: int) -> Sequence[_T]:
        """Return the `count` items with offsets from `first` on. Raises MissingRecords when one of them is not
        there."""
        place = self._log.place(first)
        if count > AHEAD:
            found = self._read(place, place + count)
        else:
            if not self._first <= place <= self._first + len(self._items) - count:
                self._items, self._first = self._read(place, place + AHEAD), place
            begin = place - self._first
            found = self._items[begin : begin + count]
        offset_of = self._offset_of
        if len(found) == count and offset_of(found[0]) == first and offset_of(found[-1]) == first + count - 1:
            return found
        raise self._log.gone(first, count)


def records(log: RecordLog) -> Window[Any]:
    """Return a window on its records."""
    return Window(log, lambda first, last: log[first:last], attrgetter("offset"))


def read_ahead(log: RecordLog) -> Window[SerializedRecord]:
    """Return a window on the serialized records."""
    return Window(log, log.between, itemgetter(0))
