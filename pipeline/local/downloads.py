"""Jars of the lock file fetched from Maven Central: by Maven where it is installed, else by jgo, which is Python."""

import contextlib
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.sax.saxutils import escape

from endocrine.pipeline.local.jars import VARIABLE, Jar, Progress, Stopped, wrong
from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.subprocesses import BrokerError

AT_ONCE = 6
"""Downloads at a time."""
TIMEOUT_S = 30
"""Seconds without an answer after which a download has failed."""
_PART = ".part-"
_LOOK_S = 0.2
_END_S = 2.0
Way = Callable[[Sequence[Jar], Path, Progress], None]


class DownloadError(Exception):
    """One way to fetch the jars failed; the message says why."""


def download(jars: Sequence[Jar], folder: Path, progress: Progress | None = None) -> None:
    """Fetch these jars into the folder; what arrives otherwise than locked is not kept. Raises BrokerError.

    Stopped, raised by `progress`, ends it soon and with no process left; jars that are whole by then are kept.
    """
    for left in folder.glob(f"{_PART}*"):
        shutil.rmtree(left, ignore_errors=True)  # of a fetch that was killed
    failures = []
    for way in _ways():
        # In the folder itself, so that moving a jar to its place is one step of the file system.
        with tempfile.TemporaryDirectory(prefix=_PART, dir=folder) as part:
            arrived = Path(part)
            try:
                way(jars, arrived, progress or (lambda done, total: None))
            except DownloadError as error:
                failures.append(str(error))
            finally:
                bad = wrong(arrived, jars)
                for jar in jars:
                    if jar not in bad:
                        (arrived / jar.name).replace(folder / jar.name)
            failures += [f"{jar.coordinates} is not what is locked" for jar in bad if (arrived / jar.name).exists()]
        if not bad:
            return
        jars = bad
    raise BrokerError(
        f"{len(jars)} jars of Apache Kafka could not be fetched, such as {jars[0].coordinates}: {'; '.join(failures)}."
        f" They come from Maven Central once; without it, name a folder that holds them: {VARIABLE}=DIR."
    )


def _ways() -> list[Way]:
    return [*([maven] if shutil.which("mvn") else []), jgo]


def maven(jars: Sequence[Jar], folder: Path, progress: Progress) -> None:
    """Fetch through Maven, with the mirrors and proxies that it is configured for. Raises DownloadError."""
    pom = folder / "pom.xml"
    pom.write_text(_pom(jars), encoding="utf-8")
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    argv = ["mvn", "-q", "-B", "-f", str(pom), goal, f"-DoutputDirectory={folder}"]
    log = folder / "mvn.log"
    with log.open("wb") as out:
        try:
            run = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        except OSError as error:
            raise DownloadError(f"mvn: {error.strerror}") from None
        try:
            while run.poll() is None:
                progress(0, None)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(_LOOK_S)
        finally:
            child.end(run, _END_S)
    if run.returncode:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("[ERROR]")]
        raise DownloadError(f"mvn (exit code {run.returncode}): {lines[0][8:308] if lines else 'no reason given'}")


def _pom(jars: Sequence[Jar]) -> str:
    """A project that depends on exactly these jars."""
    every = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    dependencies = "".join(
        f"<dependency><groupId>{escape(jar.group)}</groupId><artifactId>{escape(jar.artifact)}</artifactId>"
        f"<version>{escape(jar.version)}</version>{every}</dependency>"
        for jar in jars
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>endocrine</groupId>'
        "<artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )


def jgo(jars: Sequence[Jar], folder: Path, progress: Progress) -> None:
    """Fetch through jgo, one file for each of the jars and nothing that they depend on. Raises DownloadError."""
    from jgo.maven import MavenContext, PythonResolver

    total, done, counting = sum(jar.size for jar in jars), 0, threading.Lock()

    def count(size: int) -> None:
        nonlocal done
        with counting:
            done += size
            progress(done, total)

    @contextlib.contextmanager
    def counted(name: str, size: int) -> Iterator[Callable[[int], None]]:
        yield count

    repository = folder / "repository"
    context = MavenContext(
        resolver=PythonResolver(progress_callback=counted), repo_cache=repository, local_repos=[], timeout=TIMEOUT_S
    )

    def fetch(jar: Jar) -> None:
        fetched = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        fetched.replace(folder / jar.name)

    progress(0, total)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        fetches = [pool.submit(fetch, jar) for jar in jars]
        errors = [error for one in fetches if (error := one.exception())]
    if stopped := next((error for error in errors if isinstance(error, Stopped)), None):
        raise stopped
    if errors:
        raise DownloadError(f"jgo: {type(errors[0]).__name__}: {str(errors[0])[:300]}")
