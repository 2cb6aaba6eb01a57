"""One derived record, as the watcher read it."""

from typing import Any, NamedTuple


class Event(NamedTuple):
    """A record of a derived topic, or a dead letter."""

    topic: str
    """Without prefix; dead letters end in `.dlq`."""
    key: str
    id: str
    """Copies share it."""
    value: Any
    """The JSON object; None for a tombstone. Dead letters: the headers that say what is wrong."""
    fresh: bool
    """Written since the watcher began; False for what it read of the time before."""
