"""What `endocrine status` and `endocrine up` print, one line a part."""

from pathlib import Path

from pipeline.local.jars import kafka_version
from pipeline.local.stack import running


def report(data_dir: Path) -> list[str]:
    """The stack of this folder: what runs where, what to set so that others use it; empty when none runs."""
    found = running(data_dir)
    if found is None:
        return []
    ends = "stays until `endocrine down`" if found.stays else "ends with the command that started it"
    lines = [f"local stack   {data_dir.absolute()}, {ends}"]
    if found.bootstrap:
        lines.append(f"Kafka {kafka_version():<7} {found.bootstrap} (process {found.pids['kafka']})")
    if found.redis_url:
        lines.append(f"Valkey        {found.redis_url} (process {found.pids['valkey']})")
    return lines
