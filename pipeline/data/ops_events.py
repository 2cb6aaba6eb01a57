"""What operators did to a deployment as a whole, on `ops-events`: drills and erasures."""

import time
from typing import Any

from endocrine.pipeline.data.commands import SOURCE
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.erasures import OPS, OpsEvent

Json = dict[str, Any]


async def put_on_record(settings: Settings, kind: str, outcome: str, report: Json, *, by: str) -> None:
    """Append what was done, now. report: names nobody whom it was about. Raises ProduceError."""
    value = {"identity": OPS, "kind": kind, "outcome": outcome, "report": report, "by": by, "ts": time.time()}
    OpsEvent.model_validate(value)
    await produce([{"topic": "ops-events", "value": value, "headers": {"ce_source": SOURCE}}], settings)
