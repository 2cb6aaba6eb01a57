"""The newest records of a topic, for pages that show a few of them."""

from collections.abc import Sequence
from typing import Any

from endocrine.pipeline.console.browsing.query import Browse
from endocrine.pipeline.console.browsing.scan import Bounds, scan
from endocrine.pipeline.process.settings import Settings


async def newest(settings: Settings, topic: str, most: int) -> Sequence[Any]:
    """Return at most so many, oldest first. topic: without prefix. Raises NoSuchTopic, KafkaError, TimeoutError."""
    return (await scan(settings, Browse(topic), _all, Bounds(records=most))).records


async def _all(records: Sequence[Any]) -> Sequence[Any]:
    return records
