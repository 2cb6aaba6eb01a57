"""Lock files of pip: which releases, with which hashes."""

import re
from pathlib import Path
from typing import NamedTuple

_RELEASE = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,.-]+\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})\b")


class Release(NamedTuple):
    """A release of a package."""

    name: str
    """As package indexes compare it."""
    version: str


class LockError(ValueError):
    """A lock file that cannot be used; the message names the file and the line."""


def read(path: Path) -> dict[Release, set[str]]:
    """Return the releases of a lock file and their hashes, `sha256:...`; none where it has none. Raises LockError.

    A requirement that is not an exact release is refused: pip would choose.
    """
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[Release, set[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        match = _RELEASE.match(line)
        if match is None:
            raise LockError(f"{path.name}: requirement {number}: not an exact release; expected name==version")
        release = Release(re.sub(r"[-_.]+", "-", match[1]).lower(), match[2])
        found.setdefault(release, set()).update(_HASH.findall(line))
    return found


def lock_files(root: Path) -> list[Path]:
    """Return the lock files of the checkout."""
    return sorted([*root.glob("requirements*.lock"), *root.glob("tests/**/requirements.lock")])
