"""Writes the lock file of Kafka's jars from pom.xml, through Maven: `python -m endocrine.pipeline.local.lock_jars`."""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from endocrine.pipeline.local.jars import LOCK

HERE = Path(__file__).parent


def main() -> None:
    """Resolve the dependencies of pom.xml, and write coordinates, size and SHA-256 of each."""
    with tempfile.TemporaryDirectory(prefix="endocrine-jars-") as found:
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        options = [f"-DoutputDirectory={found}", "-DincludeScope=runtime", "-Dmdep.useRepositoryLayout=true"]
        subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), goal, *options], check=True)
        jars = [_jar(Path(found), path) for path in sorted(Path(found).rglob("*.jar"))]
    (HERE / LOCK).write_text(json.dumps({"jars": jars}, indent=1) + "\n", encoding="utf-8")
    print(f"{HERE / LOCK}: {len(jars)} jars", file=sys.stderr)


def _jar(repository: Path, path: Path) -> dict[str, str | int]:
    *group, artifact, version = path.parent.relative_to(repository).parts
    content = path.read_bytes()
    coordinates = f"{'.'.join(group)}:{artifact}:{version}"
    return {"coordinates": coordinates, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


if __name__ == "__main__":
    main()
