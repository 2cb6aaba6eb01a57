"""The file with the keys that workers and connectors share to seal what they write (architecture, section 5d).

One key a line, `id:hex` with 64 hexadecimal digits; the first one seals, all are accepted; `#` begins a comment.
To rotate: append the new key everywhere, then move it to the first line everywhere, then remove the old one when
nothing that it sealed is read any more. A key is never printed, not even in an error.
"""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from endocrine.pipeline.core.seals import KEY_BYTES, KeyedSeals, SealKey
from endocrine.pipeline.process.settings import Settings

FILE = "seal.keys"
"""Name of the file that is made in `data_dir` where none is named."""
KIND = "seal key"
MAX_BYTES = 64 << 10
_COMMENT = "# Seal key of this deployment: shared by its workers and connectors, and by nobody else."
_LINE = re.compile(r"([A-Za-z0-9_-]{1,32}):([0-9a-fA-F]{64})")
_LOCAL = re.compile(r"(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d+)?")


class KeyFileError(Exception):
    """The keys cannot be had. The message names the file or the setting, and what was expected; never a key."""


class SealKeyError(KeyFileError):
    """The same, of seal keys."""


def load_seals(settings: Settings) -> KeyedSeals:
    """Return the seals of a deployment. Raises SealKeyError.

    Without `seal_key_file` the file in `data_dir` is used, and made where it is missing, so that everything on one
    machine works together; with a broker elsewhere that would give each machine another key, so it is refused.
    """
    path = settings.seal_key_file
    if path is None:
        path = settings.data_dir / FILE
        if not path.exists():
            if not is_local(settings):
                raise SealKeyError(
                    "ENDOCRINE_SEAL_KEY_FILE is not set, and the broker is not on this machine; expected one file of "
                    "keys that all workers and connectors share: `endocrine seal-key > seal.keys` makes one"
                )
            make_key_file(path)
    return KeyedSeals(read_keys(path), settings.prefix)


def is_local(settings: Settings) -> bool:
    """Return whether all brokers of the settings are on this machine."""
    return all(_LOCAL.fullmatch(server.strip()) for server in settings.bootstrap.split(","))


def known_seals(settings: Settings) -> KeyedSeals | None:
    """Return the seals of a deployment to check with; None where there is no key: who proves need not be who may write.

    Raises SealKeyError where a file is named and cannot be used.
    """
    if settings.seal_key_file is None and not (settings.data_dir / FILE).exists():
        return None
    return load_seals(settings)


def read_keys(path: Path, kind: str = KIND) -> list[SealKey]:
    """Return the keys of a file, in its order. kind: what errors call one. Raises SealKeyError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SealKeyError(f"{path}: cannot be read: {error.strerror}; expected a file of {kind}s") from None
    if len(data) > MAX_BYTES:
        raise SealKeyError(f"{path}: larger than {MAX_BYTES} bytes; expected a few lines, each a {kind}")
    keys: list[SealKey] = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise SealKeyError(f"{path}:{number}: not a {kind}; expected `id:` and {2 * KEY_BYTES} hexadecimal digits")
        if any(key.id == found[1] for key in keys):
            raise SealKeyError(f"{path}:{number}: the id {found[1]!r} is there twice; expected an id of its own")
        keys.append(SealKey(found[1], bytes.fromhex(found[2])))
    if not keys:
        raise SealKeyError(f"{path}: holds no key; expected at least one line `id:` and {2 * KEY_BYTES} hex digits")
    return keys


def new_key_line() -> str:
    """Return a fresh key as a line of the file, without the newline."""
    return f"k{secrets.token_hex(4)}:{secrets.token_hex(KEY_BYTES)}"


def make_key_file(path: Path, comment: str = _COMMENT) -> None:
    """Make a file with a fresh key, readable by its owner only; one that is there already is left alone.

    Processes that start at once end up with one key: the file appears whole, or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{comment}\n{new_key_line()}\n")
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
