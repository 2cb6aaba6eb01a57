"""Breakers of the connectors, as their replies show them: a connector keeps its breaker to itself, and says in a reply
that it left the provider or the service alone."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

MODEL = "model provider"
_OPEN = "breaker_open:"


class Reply(NamedTuple):
    """A record of `model-replies` or `tool-results`."""

    topic: str
    partition: int
    at: float
    """Append time, seconds since 1970."""
    value: Mapping[str, Any]


class ConnectorBreaker(NamedTuple):
    """The breaker of the model connector, or of what runs a tool."""

    name: str
    """`model provider`, or the tool."""
    state: Literal["open", "closed"]
    """At the last request: where several connectors work, open if one of them refused its last."""
    refused: int
    """Requests that it refused, of the replies that were looked at."""
    replies: int
    last_refused: float
    """Seconds since 1970."""


def connector_breakers(replies: Iterable[Reply]) -> list[ConnectorBreaker]:
    """Return the breakers that refused something, open ones first. replies: in append order of each partition."""
    seen: dict[str, list[tuple[int, float, bool]]] = {}
    for one in replies:
        seen.setdefault(_name(one), []).append((one.partition, one.at, _refused(one)))
    found = [
        ConnectorBreaker(
            name,
            # One connector has a partition: its last reply there is its state.
            "open" if any({partition: refused for partition, _, refused in some}.values()) else "closed",
            sum(refused for _, _, refused in some),
            len(some),
            max(at for _, at, refused in some if refused),
        )
        for name, some in seen.items()
        if any(refused for _, _, refused in some)
    ]
    return sorted(found, key=lambda one: (one.state != "open", -one.last_refused, one.name))


def _name(reply: Reply) -> str:
    return MODEL if reply.topic == "model-replies" else str(reply.value.get("tool"))


def _refused(reply: Reply) -> bool:
    if reply.topic == "model-replies":
        return str(reply.value.get("error") or "").startswith(_OPEN)
    output = reply.value.get("output")
    return isinstance(output, Mapping) and output.get("degraded") is True
