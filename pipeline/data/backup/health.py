"""How old the newest valid backup and the last verified drill of a folder are, and what that means."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from endocrine.agents.policy.sections import BackupRules
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.data.backup.bundle import stamps_in, validate
from endocrine.pipeline.data.backup.retention import SAFETY, time_of

FOLDER = "backups"
"""Name of the folder of backups in the data folder."""
DRILLS = "drills.jsonl"
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
    drill_status: Status
    """Whether that is recent enough; at worst a warning."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, ages to a hundredth of a day."""
        rounded = {name: value and round(value, 2) for name, value in asdict(self).items() if name.endswith("days")}
        return {"status": self.status, "newest": self.newest, **rounded, "drill_status": self.drill_status}


def backup_health(directory: Path, now: datetime, rules: BackupRules, seals: KeyedSeals | None = None) -> BackupHealth:
    """Return the health of the backups in a folder. Reads every byte of the newest valid one, to check it.

    rules: of the policy in force. seals: as of `validate`.
    """
    ordinary = [stamp for stamp in reversed(stamps_in(directory)) if not stamp.endswith(SAFETY)]
    newest = next((stamp for stamp in ordinary if validate(directory / stamp, seals)["valid"]), None)
    made = time_of(newest) if newest else None
    days = None if made is None else (now - made).total_seconds() / _DAY_S
    status: Status = "fail" if days is None or days > rules.fail_days else "warn" if days >= rules.warn_days else "ok"
    drilled = [float(one["at"]) for one in drills(directory) if one.get("verified")]
    last = None if not drilled else datetime.fromtimestamp(max(drilled), UTC)
    drill_days = None if last is None else (now - last).total_seconds() / _DAY_S
    drilled_lately = drill_days is not None and drill_days <= rules.drill_days
    return BackupHealth(status, newest, days, drill_days, "ok" if drilled_lately else "warn")


def drills(directory: Path) -> list[dict[str, Any]]:
    """Return the outcomes of drills, in their order; none where there is no readable list of them."""
    try:
        return [orjson.loads(line) for line in (directory / DRILLS).read_bytes().splitlines()]
    except (OSError, ValueError):
        return []
