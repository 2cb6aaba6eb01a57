"""The project that a folder belongs to, by the paths of the policy. Pure: paths are compared as texts."""

import re
from collections.abc import Mapping

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def project_at(paths: Mapping[str, str], cwd: str) -> str | None:
    """Return the project of the longest path that holds a folder, by component; None where none does.

    Windows forms (`C:\\...`, `\\\\server\\...`) are compared in any case, with either slash.

    >>> paths = {"/work/atlas": "atlas", "/work/atlas/pump": "p05", "C:\\\\Work": "w"}
    >>> [project_at(paths, cwd) for cwd in ("/work/atlas/pump/src", "/work/atlas2", "c:/work/x", "/work/atlas/")]
    ['p05', None, 'w', 'atlas']
    """
    wanted = _components(cwd)
    found = [
        (len(parts), project) for path, project in paths.items() if wanted[: len(parts := _components(path))] == parts
    ]
    return max(found)[1] if found else None


def _components(path: str) -> list[str]:
    """The parts of a path, its form first, so that no two forms have one path."""
    windows = _WINDOWS.match(path) is not None
    parts = re.split(r"[\\/]+", path.lower()) if windows else path.split("/")
    return ["windows" if windows else "posix", *(part for part in parts if part not in ("", "."))]
