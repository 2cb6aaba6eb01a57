"""How far the requests of one partition are finished, without gaps."""


class CommitPosition:
    """Offsets taken and finished; what may be committed is below everything unfinished. Pure.

    >>> position = CommitPosition()
    >>> position.take(7), position.take(8), position.finish(8), position.next_offset
    (True, True, None, 7)
    >>> position.finish(7), position.next_offset
    (None, 9)
    """

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._next: int | None = None

    def take(self, offset: int) -> bool:
        """Note a record as taken; False when it was taken before. Offsets come in order, holes are compaction's."""
        if self._next is not None and offset < self._next:
            return False
        self._open.add(offset)
        self._next = offset + 1
        return True

    def reach(self, offset: int) -> None:
        """Note that all below this offset was taken; from the last one on, none was there (a transaction's marker,
        say).
        """
        self._next = max(self._next or 0, offset)

    def finish(self, offset: int) -> None:
        """Note that its answer is acknowledged, or that it needs none."""
        self._open.discard(offset)

    @property
    def waiting(self) -> int:
        """Taken and not finished."""
        return len(self._open)

    @property
    def next_offset(self) -> int | None:
        """The offset to commit: the lowest unfinished one, else the one after the last. None: nothing was taken."""
        return min(self._open) if self._open else self._next
