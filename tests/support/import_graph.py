"""The import graph of the package, by names as they are imported."""

import importlib
import sys
from functools import cache
from pathlib import Path

import grimp

LINKS = Path(__file__).parent / "types"
"""The package as one folder: grimp walks folders, and an editable installation maps names."""


@cache
def import_graph() -> grimp.ImportGraph:
    """Everything that `endocrine` imports, external packages included."""
    ours = sys.modules.pop("endocrine", None)
    sys.path.insert(0, str(LINKS))
    importlib.invalidate_caches()
    try:
        return grimp.build_graph("endocrine", include_external_packages=True, cache_dir=None)
    finally:
        sys.path.remove(str(LINKS))
        sys.modules.pop("endocrine", None)
        if ours is not None:
            sys.modules["endocrine"] = ours
