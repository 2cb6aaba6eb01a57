"""What replay cannot know any more: states that were decided from content whose key is destroyed since. Pure.

A record that cannot be read leaves the state of its key unknown, and with it what every later record of the key caused,
until the key's erasure ends it. What else the batch decided is made again as ever. Outputs of such records are not
compared: each is known by its origin.
"""

from collections.abc import Callable, Collection
from typing import Any

from endocrine.agents.contract import Trigger
from endocrine.pipeline.core.records import SourceRecord
from endocrine.schemas.commands import Erase


class LostStates:
    """Collects them, for one unit. agent: its name. recorded: returns the `previous` of a chained record that is on
    record, by topic and `ce_id`."""

    def __init__(self, agent: str, recorded: Callable[[str, bytes], str | None]) -> None:
        self.agent, self.recorded = agent, recorded
        self.keys: set[str] = set()
        """State keys whose states are unknown."""
        self.unreadable: Collection[tuple[str, int]] = ()
        """(topic, offset) of what the batch itself passed over, as its key was destroyed by then."""
        self.causes: set[tuple[str, int]] = set()
        """(topic, offset) of records whose outputs cannot be made again."""
        self.origins: set[str] = set()
        """Origins of single outputs that cannot be."""

    @property
    def any(self) -> bool:
        """Whether any output cannot be made again."""
        return bool(self.causes or self.origins)

    def takes(self, key: str, trigger: Trigger, raw: SourceRecord, *, readable: bool) -> bool:
        """Return whether what a record causes cannot be known; take note of it."""
        if readable and key not in self.keys:
            return False
        self.causes.add((trigger.topic, raw.offset))
        value = trigger.value
        if readable and value.__class__ is Erase and value.agent == self.agent and value.of == trigger.identity:
            self.keys.discard(key)  # it ends here, whatever it was
        else:
            self.keys.add(key)
        return True

    def covers(self, origin: str) -> bool:
        """Return whether an output of this origin (`agent/topic/partition/offset/ordinal`) cannot be made again."""
        if origin in self.origins:
            return True
        try:
            _, topic, _, offset, _ = origin.split("/")
            return (topic, int(offset)) in self.causes
        except ValueError:
            return False

    def dump(self) -> dict[str, Any]:
        """Return it as JSON values, for `load`."""
        return {
            "keys": sorted(self.keys),
            "causes": sorted(map(list, self.causes)),
            "origins": sorted(self.origins),
        }

    def load(self, dumped: dict[str, Any]) -> None:
        """Go on from what `dump` gave."""
        self.keys, self.origins = set(dumped["keys"]), set(dumped["origins"])
        self.causes = {(topic, offset) for topic, offset in dumped["causes"]}
