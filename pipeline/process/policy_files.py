"""The policy loader: shipped files, a file laid over them, flags from the environment; all or nothing."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from endocrine.agents._shared.prompt_keys import PromptKeyMissing, PromptKeys, prompt_key
from endocrine.agents.policy.compiled import Policy, compile_policy
from endocrine.agents.policy.document import SECTIONS
from endocrine.agents.policy.errors import Mistake, PolicyError, shown
from endocrine.agents.policy.resolve import lay_over
from endocrine.agents.policy.sections import Flags
from endocrine.pipeline.process.yaml_lines import Read, SomePath, read_yaml

FLAG_PREFIX = "ENDOCRINE_FLAG_"
MAX_BYTES = 1 << 20
"""A policy file above one MiB is refused: the shipped ones have a few KiB together."""
_SHARED_FILE = "policy"
"""The shipped file that holds several sections; every other file is one section, named after it."""
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class PolicyFileError(Exception):
    """A policy that is refused. `mistakes`: one line each, `file:line: place: 'text': what is wrong, expected ...`."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def load_policy(
    path: Path | None = None, flags: Mapping[str, str] | None = None, prompt_keys: PromptKeys | None = None
) -> Policy:
    """Return the shipped policy, with the file at `path` laid over it, with flags from `flags` (an environment) over
    both.

    Of `flags` only names that begin with ENDOCRINE_FLAG_ are read. prompt_keys: for who decides by the policy; a key of
    prompt hashes that it names must be among them. Raises PolicyFileError with every mistake found.
    """
    if path is None and not _flag_names(flags):
        return shipped_policy()
    whole, places = _shipped()
    errors: list[str] = []
    overlay = {}
    if path is not None:
        read = _read(path, errors)
        overlay = read.value if isinstance(read.value, dict) else {}
        places = [(str(path), read.lines), *places]
    resolved, found = lay_over(whole, overlay)
    errors.extend(_located(mistake, places) for mistake in found)
    errors.extend(_lay_flags(resolved, flags or {}))
    try:
        policy = compile_policy(resolved, prompt_keys or {}, valid=whole)
        if prompt_keys is not None:
            prompt_key(policy)
    except PolicyError as error:
        errors.extend(_located(mistake, places) for mistake in error.errors)
    except PromptKeyMissing as error:
        errors.append(str(error))
    if errors:
        raise PolicyFileError(list(dict.fromkeys(errors)))
    return policy


@cache
def shipped_policy() -> Policy:
    """Return the policy as shipped, compiled once per process."""
    whole, places = _shipped()
    try:
        return compile_policy(whole)
    except PolicyError as error:
        raise PolicyFileError([_located(mistake, places) for mistake in error.errors]) from error


Places = list[tuple[str, dict[SomePath, int]]]


def _shipped() -> tuple[dict[str, Any], Places]:
    """The shipped sections, each time new, and the file and line of each path."""
    whole, places = _shipped_files()
    return orjson.loads(whole), places


@cache
def _shipped_files() -> tuple[bytes, Places]:
    """The same, read once per process; the sections as JSON."""
    whole: dict[str, Any] = {}
    places: Places = []
    folder = resources.files("endocrine.config")
    own_files = [name for name in SECTIONS if folder.joinpath(f"{name}.yaml").is_file()]
    for name in [_SHARED_FILE, *own_files]:
        read = read_yaml(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"), ours=True)
        file = f"config/{name}.yaml"
        if read.problems:
            raise PolicyFileError(
                [_line(file, one.line, one.path, one.text, one.wrong, one.expected) for one in read.problems]
            )
        shared = name == _SHARED_FILE
        whole.update(read.value if shared else {name: read.value})
        lines = read.lines if shared else {(name, *path): line for path, line in read.lines.items()}
        places.append((file, lines))
    return orjson.dumps(whole), places


def _read(path: Path, errors: list[str]) -> Read:
    """The file's content; what is wrong with it as a file goes to `mistakes`."""
    nothing = Read(None, {(): 1}, [])
    expected = f"a YAML mapping of sections such as maps, defaults, flags (all: {', '.join(SECTIONS)})"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        errors.append(f"{path}: cannot be read ({error.strerror or error}), expected a policy file")
        return nothing
    if len(content) > MAX_BYTES:
        errors.append(f"{path}: larger than {MAX_BYTES} bytes, expected {expected}")
        return nothing
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        errors.append(f"{path}:{line}: byte {error.start} is no UTF-8 text, expected {expected}")
        return nothing
    read = read_yaml(text)
    errors.extend(_line(str(path), one.line, one.path, one.text, one.wrong, one.expected) for one in read.problems)
    if read.value is None and not read.problems:
        errors.append(f"{path}:1: the file is empty, expected {expected}")
    elif read.value is not None and not isinstance(read.value, dict):
        errors.append(f"{path}:1: {shown(read.value)}: not a mapping, expected {expected}; a space after each colon")
    return read


def _flag_names(flags: Mapping[str, str] | None) -> list[str]:
    return sorted(name for name in flags or {} if name.startswith(FLAG_PREFIX))


def _lay_flags(resolved: dict[str, Any], flags: Mapping[str, str]) -> list[str]:
    """Override flags in place; what is wrong with the environment's names and values."""
    errors = []
    values: dict[str, bool] = {}
    given = resolved.get("flags")
    flags_there = dict.fromkeys([*Flags.model_fields, *(given if isinstance(given, dict) else ())])
    for variable in _flag_names(flags):
        name, text = variable.removeprefix(FLAG_PREFIX), flags[variable]
        if name not in flags_there:
            known = ", ".join(FLAG_PREFIX + flag for flag in flags_there)
            errors.append(f"environment: {variable}: {shown(text)}: unknown flag, expected one of {known}")
        elif text.strip().lower() not in _WORDS:
            errors.append(f"environment: {variable}: {shown(text)}: not a switch, expected true or false")
        else:
            values[name] = _WORDS[text.strip().lower()]
    if isinstance(resolved.get("flags"), dict):
        resolved["flags"] = {**resolved["flags"], **values}
    return errors


def _located(mistake: Mistake, places: Places) -> str:
    """The mistake with file and line: of the file that gives most of its path, the overlay where two give as much."""
    best, file, line = -1, places[0][0], 1
    for name, lines in places:
        for length in range(len(mistake.path), -1, -1):
            if mistake.path[:length] in lines:
                if length > best:
                    best, file, line = length, name, lines[mistake.path[:length]]
                break
    return f"{file}:{line}: {mistake}"


def _line(file: str, line: int, path: SomePath, text: str, wrong: str, expected: str) -> str:
    return f"{file}:{line}: {Mistake(path, shown(text), ' '.join(wrong.split()), expected)}"
