"""Names of the keys in Redis. The first two are older than this project and read by other programs: never renamed."""

EVENTS_PREFIX = "events:"
GUARD_PREFIX = "endocrine:guard:"


def bond(user_id: str) -> str:
    """String: the JSON bond entry, byte for byte the topic's."""
    return f"abl:{user_id}"


def bond_events(user_id: str) -> str:
    """List, newest first: JSON objects `timestamp, event_type, detail, data`."""
    return f"abl:{EVENTS_PREFIX}{user_id}"


def attribution(identity: str) -> str:
    """Hash: primitive -> JSON attribution state."""
    return f"endocrine:attribution:{identity}"


def style(identity: str) -> str:
    """String: the JSON style table."""
    return f"endocrine:style:{identity}"


def guard(key: str) -> str:
    """Hash beside each of the above: what has been applied to it. Not under `abl:`, which others list."""
    return GUARD_PREFIX + key


def positions(group: str) -> str:
    """Hash: `topic/partition` -> the offset from which the projection goes on."""
    return f"endocrine:positions:{group}"
