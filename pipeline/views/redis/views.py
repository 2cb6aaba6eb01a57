"""Readers of the read models, for the gateway and the console."""

from typing import TYPE_CHECKING, Any

import orjson

from endocrine.pipeline.views.redis import keys
from endocrine.schemas.bonds import Bond

if TYPE_CHECKING:
    from redis.asyncio import Redis

DEFAULT_EVENTS = 50
"""Bond events read where nothing else is asked for (rules 6)."""


async def bond(client: "Redis", user_id: str) -> Bond | None:
    """The bond entry; fields that an older or partial form lacks have their defaults. None: there is none."""
    stored = await client.get(keys.bond(user_id))
    return None if stored is None else Bond.model_validate_json(stored)


async def bond_events(client: "Redis", user_id: str, limit: int = DEFAULT_EVENTS) -> list[dict[str, Any]]:
    """The last `limit` (>= 1) events, newest first."""
    if limit < 1:
        raise ValueError(f"limit {limit}: expected 1 or more")
    return [orjson.loads(event) for event in await client.lrange(keys.bond_events(user_id), 0, limit - 1)]


async def attribution(client: "Redis", identity: str) -> dict[str, dict[str, Any]]:
    """Attribution state by primitive, sorted; empty: nothing observed. Probabilistic; it gates nothing."""
    stored: Any = await client.hgetall(keys.attribution(identity))
    return {primitive.decode(): orjson.loads(stored[primitive]) for primitive in sorted(stored)}


async def style(client: "Redis", identity: str) -> dict[str, Any] | None:
    """The feedback style table, or None."""
    stored = await client.get(keys.style(identity))
    return None if stored is None else orjson.loads(stored)
