"""What machine a run was made on."""

import os
import platform
import re
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from endocrine.pipeline.local.jars import kafka_version
from endocrine.pipeline.local.java import java
from endocrine.pipeline.process import subprocesses as child

LIBRARIES = ("aiokafka", "faust-streaming", "quixstreams", "pydantic", "orjson", "uvloop", "rocksdict")


def machine() -> dict[str, str | int | float]:
    """Processor, memory, system and versions."""
    facts: dict[str, str | int | float] = {
        "cpu": _found(r"model name\s*:\s*(.+)", "/proc/cpuinfo") or platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "java": _java(),
        "broker": f"Apache Kafka {kafka_version()}",
    }
    return facts | {name: version(name) for name in LIBRARIES}


def _found(pattern: str, file: str) -> str | None:
    try:
        match = re.search(pattern, Path(file).read_text())
    except OSError:
        return None
    return match[1].strip() if match else None


def _java() -> str:
    try:
        run = subprocess.run([java().program, "-version"], capture_output=True, text=True, check=False)
    except child.BrokerError:
        return "none"
    return (run.stderr + run.stdout).splitlines()[0]


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, all its threads; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """Processor time that the whole machine has spent at work since it started; 0 where the system does not tell."""
    found = _found(r"^cpu\s+(.+)", "/proc/stat")
    if found is None:
        return 0.0
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, found.split())
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor time of this process and of all its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def topic_bytes(folder: Path, prefix: str) -> dict[str, int]:
    """Bytes of the log segments below a broker's data folder, by topic, of topics whose name contains the prefix."""
    found: dict[str, int] = {}
    for place, _, files in os.walk(folder):  # which passes over what a broker deletes meanwhile
        topic, _, number = Path(place).name.rpartition("-")
        if prefix in topic and number.isdigit():
            with suppress(FileNotFoundError):
                size = sum((Path(place) / name).stat().st_size for name in files if name.endswith(".log"))
                found[topic] = found.get(topic, 0) + size
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not tell."""
    found = _found(r"VmRSS:\s+(\d+) kB", f"/proc/{pid}/status")
    return int(found) * 1024 if found else 0
