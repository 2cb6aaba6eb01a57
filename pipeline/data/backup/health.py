"""How old the newest valid backup and the last verified drill of a folder are, and what that means."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.data.backup.bundle import stamps_in, validate
from endocrine.pipeline.data.backup.retention import SAFETY, time_of

FOLDER = "backups"
"""Name of the folder of backups in the data folder."""
DRILLS = "drills.jsonl"
WARN_DAYS, FAIL_DAYS = 7, 10
"""Age of the newest valid backup that is worth a warning, and that is too old (memory, section 10)."""
DRILL_DAYS = 92
"""Age of the last drill that is worth a warning: quarterly."""
_DAY_S = 86_400
Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class BackupHealth:
    """What `endocrine backup health` reports."""

    status: Status
    """Of the backups alone; `drill_status` is of the drills."""
    newest: str | None
    """Name of the newest valid backup; safety backups do not count."""
    days: float | None
    """Its age."""
    drill_days: float | None
    """Days since the last verified drill."""

    @property
    def drill_status(self) -> Status:
        """Whether the last verified drill is recent enough."""
        return "warn" if self.drill_days is None or self.drill_days > DRILL_DAYS else "ok"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, ages to a hundredth of a day."""
        rounded = {name: value and round(value, 2) for name, value in asdict(self).items() if name.endswith("days")}
        return {"status": self.status, "newest": self.newest, **rounded}


def backup_health(directory: Path, now: datetime, seals: KeyedSeals | None = None) -> BackupHealth:
    """Return the health of the backups in a folder. Reads every byte of the newest valid one, to check it.

    seals: as of `validate`.
    """
    ordinary = [stamp for stamp in reversed(stamps_in(directory)) if not stamp.endswith(SAFETY)]
    newest = next((stamp for stamp in ordinary if validate(directory / stamp, seals)["valid"]), None)
    made = time_of(newest) if newest else None
    days = None if made is None else (now - made).total_seconds() / _DAY_S
    status: Status = "fail" if days is None or days > FAIL_DAYS else "warn" if days >= WARN_DAYS else "ok"
    drilled = [float(one["at"]) for one in drills(directory) if one.get("verified")]
    last = None if not drilled else datetime.fromtimestamp(max(drilled), UTC)
    return BackupHealth(status, newest, days, None if last is None else (now - last).total_seconds() / _DAY_S)


def drills(directory: Path) -> list[dict[str, Any]]:
    """Return the outcomes of drills, in their order; none where there is no readable list of them."""
    try:
        return [orjson.loads(line) for line in (directory / DRILLS).read_bytes().splitlines()]
    except (OSError, ValueError):
        return []
