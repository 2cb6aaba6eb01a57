"""The copy of the project that is mutated: `src/endocrine/agents` and so on, as imports name them."""

import filecmp
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("agents", "config", "pipeline", "schemas")
BESIDE = ("config", "docs")
"""Folders that tests read by their place in the repository."""
TESTS = (
    "analytics",
    "attribution",
    "audit",
    "auditchain",
    "bonds",
    "capture",
    "conversation",
    "deadletters",
    "engine",
    "feedback",
    "gating",
    "moderation",
    "modulation",
    "policy",
    "redaction",
    "runtime",
    "schemas",
    "suspicion",
)
"""Folders of tests/unit whose tests are run: those of the agents and of core. Others reach the same code, later."""
_CONFIG = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = ["src/endocrine/agents/*", "src/endocrine/pipeline/core/*"]
pytest_add_cli_args = ["--hypothesis-seed=0"]
pytest_add_cli_args_test_selection = [{tests}]
timeout_multiplier = 3.0
timeout_constant = 3.0
also_copy = [{beside}]
track_dependencies = false
use_git_change_detection = false
on_dependency_change = "ignore"
"""
_PROFILE = """

# Of the copy alone: properties try fewer examples, and that one fails is enough, the smallest is not asked for.
from hypothesis import Phase  # noqa: E402

_make = settings.__init__


def _quick(self, *given, **named):  # type: ignore[no-untyped-def]
    if "max_examples" in named:
        named["max_examples"] = min(named["max_examples"], EXAMPLES)
    _make(self, *given, **named)


settings.__init__ = _quick
settings.register_profile(
    "mutants",
    settings.get_profile("endocrine"),
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
settings.load_profile("mutants")
# mutmut 3.7 reads an attribute that pytest 9.2 has no more.
pytest.Item._nodeid = property(lambda item: item.nodeid)
"""
EXAMPLES = 20
"""Of a property, for each mutant: properties over whole histories take seconds with all of theirs."""


def make(root: Path, work: Path) -> None:
    """Bring the copy up to date. Unchanged files keep their times, so that mutmut keeps their mutants."""
    source = work / "src" / "endocrine"
    for folder in FOLDERS:
        _copy(root / folder, source / folder)
    for file in (root / "pipeline" / "public").iterdir():
        if file.is_file():
            _put(file.read_bytes(), source / file.name)
    for folder in ("tests/data", "tests/support", *BESIDE):
        _copy(root / folder, work / folder)
    tests = [f"tests/unit/{folder}" for folder in TESTS if (root / "tests" / "unit" / folder).is_dir()]
    for folder in tests:
        _copy(root / folder, work / folder)
    profile = _PROFILE.replace("EXAMPLES", str(EXAMPLES))
    _put(((root / "tests" / "conftest.py").read_text() + profile).encode(), work / "tests" / "conftest.py")
    config = _CONFIG.replace("{tests}", json.dumps(tests)[1:-1]).replace("{beside}", json.dumps(BESIDE)[1:-1])
    _put(((root / "pyproject.toml").read_text() + config).encode(), work / "pyproject.toml")


def _copy(origin: Path, target: Path) -> None:
    wanted = {file.relative_to(origin): file for file in _files(origin)}
    for name in [file.relative_to(target) for file in _files(target)]:
        if name not in wanted:
            (target / name).unlink()
    for name, file in wanted.items():
        place = target / name
        if not place.exists() or not filecmp.cmp(file, place, shallow=False):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def _files(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and "types" not in file.parts:
            yield file


def _put(content: bytes, place: Path) -> None:
    if not place.exists() or place.read_bytes() != content:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
