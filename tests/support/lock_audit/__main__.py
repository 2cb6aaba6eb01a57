"""Audit the lock files: `python -m lock_audit [--without-advisories] [FILE ...]`, by default all of the checkout.

Exit codes: 0 nothing found, 1 something found, 2 the index does not answer, 3 nothing found, but the index says nothing
about vulnerabilities; with --without-advisories that is 0, too.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from lock_audit.index import Index, configured
from lock_audit.locks import LockError, Release, lock_files, read

WITHOUT = "--without-advisories"
AT_ONCE = 4
"""Requests at a time."""


def findings(index: Index, release: Release, hashes: set[str]) -> Iterator[str]:
    """Yield what is wrong with a locked release."""
    if not hashes:
        yield "is locked without a hash"
    files = index.files(release)
    if files is None:
        yield "is not in the index any more"
        return
    if foreign := hashes - {f"sha256:{one.sha256}" for one in files}:
        yield f"is locked with {len(foreign)} hashes that the index does not have"
    if all(one.yanked for one in files):
        yield f"was yanked: {files[0].reason or 'no reason given'}"
    for known in index.vulnerabilities(release) or []:
        yield f"has the known vulnerability {known}"


def main(paths: list[Path], index: Index, *, without_advisories: bool = False) -> int:
    """Print what is found, a line each; return the exit code."""
    locked: dict[Release, set[str]] = {}
    named: dict[Release, list[str]] = {}
    try:
        for path in paths:
            for release, hashes in read(path).items():
                locked.setdefault(release, set()).update(hashes)
                named.setdefault(release, []).append(path.name)
    except (LockError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    found = 0
    try:
        advised = index.vulnerabilities(next(iter(locked))) is not None
        with ThreadPoolExecutor(AT_ONCE) as pool:
            audits = pool.map(lambda release: list(findings(index, release, locked[release])), locked)
            for release, lines in zip(locked, audits, strict=True):
                for line in lines:
                    found += 1
                    print(f"{release.name} {release.version} {line} ({', '.join(named[release])})")
    except requests.RequestException as error:
        print(f"error: the package index that pip is configured for: {type(error).__name__}", file=sys.stderr)
        return 2
    print(f"{len(locked)} releases of {len(paths)} lock files: {found or 'nothing'} found", file=sys.stderr)
    if not advised:
        print("this index serves no advisories: vulnerabilities were NOT looked at", file=sys.stderr)
    return 1 if found else 0 if advised or without_advisories else 3


if __name__ == "__main__":
    root = Path(__file__).parents[3]
    given = [Path(one) for one in sys.argv[1:] if one != WITHOUT]
    sys.exit(main(given or lock_files(root), configured(), without_advisories=WITHOUT in sys.argv))
