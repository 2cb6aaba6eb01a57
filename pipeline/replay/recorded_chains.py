"""What records of chained topics name as the one before them: where replay cannot know it, the topic says it."""

from collections.abc import Mapping

import orjson

from endocrine.pipeline.core.records import CE_ID
from endocrine.pipeline.replay.record_log import RecordLog


class RecordedChains:
    """The links of one partition's chained topics, read when the first is asked for.

    That they follow each other is what `endocrine audit verify` proves, over records as they lie on the topic.
    """

    def __init__(self, logs: Mapping[tuple[str, int], RecordLog], partition: int) -> None:
        self._logs, self._partition = logs, partition
        self._links: dict[str, dict[bytes, str | None]] = {}

    def previous(self, topic: str, ce_id: bytes) -> str | None:
        """Return the `previous` of the record with this id; None where there is no such record."""
        if topic not in self._links:
            self._links[topic] = {
                dict(raw.headers).get(CE_ID) or b"": orjson.loads(raw.value).get("previous")
                for raw in self._logs[topic, self._partition]
                if raw.value
            }
        return self._links[topic].get(ce_id)
