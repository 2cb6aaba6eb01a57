"""Names of the keys in Redis. The first two are older than this project and read by other programs: never renamed."""

from dataclasses import dataclass

EVENTS_PREFIX = "events:"
GUARD_PREFIX = "endocrine:guard:"
VIEW_PREFIX = "endocrine:view:"
SHIPPED = "endocrine."
"""Prefix of topics as shipped (`endocrine.pipeline.process.settings`)."""


SPEND_STEPS = {3600: 300, 86_400: 3600, 604_800: 21_600}
"""Seconds of the steps in which spend is counted, by the seconds that a page shows of them."""


def bond(user_id: str) -> str:
    """Return the key of a string: the JSON bond entry, byte for byte the topic's."""
    return f"abl:{user_id}"


def bond_events(user_id: str) -> str:
    """Return the key of a list, newest first: JSON objects `timestamp, event_type, detail, data`."""
    return f"abl:{EVENTS_PREFIX}{user_id}"


def bonds_index() -> str:
    """Return the key of a sorted set by `last_updated` in milliseconds: the user ids of bond entries that are ours."""
    return "endocrine:bonds:index"


def foreign_keys() -> str:
    """Set: keys of bonds that exist without a guard, so that the projection leaves them alone."""
    return "endocrine:bonds:foreign"


def candidates_index() -> str:
    """Return the key of a sorted set by `created_ts` in milliseconds: JSON `[subject, memory_id]` of each candidate."""
    return "endocrine:index:candidates"


def conflicts_index() -> str:
    """Return the key of a sorted set by `opened_ts` in milliseconds: JSON `[subject, slot]` of each open conflict."""
    return "endocrine:index:conflicts"


INDEXES = (bonds_index(), candidates_index(), conflicts_index())
"""Sorted sets over all subjects."""


def attribution(identity: str) -> str:
    """Return the key of a hash: primitive -> JSON attribution state."""
    return f"endocrine:attribution:{identity}"


def trusted(subject: str) -> str:
    """Return the key of a hash: `category/key` -> the JSON entry of trusted state."""
    return f"endocrine:trusted:{subject}"


def memories(subject: str) -> str:
    """Return the key of a hash: memory_id -> the JSON memory."""
    return f"endocrine:memories:{subject}"


def conflicts(subject: str) -> str:
    """Return the key of a hash: slot -> the JSON of its latest conflict."""
    return f"endocrine:conflicts:{subject}"


def links(identity: str) -> str:
    """Return the key of a hash: the other identity -> the JSON of the link to it. Each link lies in the hashes of
    both."""
    return f"endocrine:links:{identity}"


def style(identity: str) -> str:
    """Return the key of a string: the JSON style table."""
    return f"endocrine:style:{identity}"


def guard(key: str) -> str:
    """Return the key of a hash beside each of the above: what has been applied to it. Not under `abl:`, which others
    list.

    Views (below) hold it themselves: they may be dropped whole, and expire.
    """
    return key if key.startswith(VIEW_PREFIX) else GUARD_PREFIX + key


@dataclass(frozen=True)
class ViewKeys:
    """Names of the views of one deployment. prefix: of its topics; the shipped one is left out."""

    prefix: str

    @classmethod
    def of_source(cls, source: str, topic: str) -> "ViewKeys":
        """Return those of the deployment that a `topic/partition` with its prefix belongs to. topic: without prefix."""
        return cls(source.rpartition("/")[0].removesuffix(topic))

    @property
    def turn_prefix(self) -> str:
        """What the key of every turn begins with."""
        return f"{self._view}turn:"

    def turn(self, audit_id: str) -> str:
        """Return the key of a hash: what is known of a turn by part: `opened`, `closed`, `modulation`,
        `audit/<supplement>`; no content."""
        return self.turn_prefix + audit_id

    def turns(self, identity: str | None = None, project: str | None = None) -> str:
        """Return the key of a sorted set by append time: audit ids of an identity, of a project, or of all."""
        if identity is not None:
            return f"{self._view}turns:identity:{identity}"
        return f"{self._view}turns" if project is None else f"{self._view}turns:project:{project}"

    def incidents(self) -> str:
        """Return the key of a sorted set by append time: the JSON incidents, byte for byte the topic's."""
        return f"{self._view}incidents"

    def approvals(self) -> str:
        """Return the key of a sorted set by deadline in milliseconds, event time: what waits for a person, as JSON
        `["call", identity, audit_id, call_id]` or `["turn", identity, audit_id]`."""
        return f"{self._view}approvals"

    def analytics(self) -> str:
        """Return the key of a hash: `tool/partition` -> the JSON figures of that partition."""
        return f"{self._view}analytics"

    @property
    def spend_prefix(self) -> str:
        """What the key of every step of spend begins with."""
        return f"{self._view}spend:"

    def spend(self, span_s: int, now: float) -> tuple[int, list[str]]:
        """Return where the steps within a span of `SPEND_STEPS` begin, seconds since 1970, and their keys: sorted sets
        by tokens of `=` and each identity, and of `all`. The oldest step is the first that began within the span."""
        step = SPEND_STEPS[span_s]
        first, last = int(now - span_s) // step + 1, int(now) // step
        return first * step, [f"{self.spend_prefix}{step}:{number}" for number in range(first, last + 1)]

    @property
    def _view(self) -> str:
        # A colon is in no prefix: no deployment's keys are another's.
        return VIEW_PREFIX if self.prefix == SHIPPED else f"{VIEW_PREFIX}{self.prefix}:"


def positions(group: str) -> str:
    """Return the key of a hash: `topic/partition` -> the offset from which the projection goes on."""
    return f"endocrine:positions:{group}"
