"""API keys: made, listed and revoked in one file, which holds their SHA-256 only.

A key is `ek_` and 43 characters of 256 random bits, shown once. The file is JSON, one entry a key, written whole or not
at all, readable by its owner. Gateways read it again when it changes.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

FILE = "gateway.keys"
PREFIX = "ek_"
Scope = Literal["capture", "read", "content", "review", "operate"]
SCOPES: tuple[Scope, ...] = ("capture", "read", "content", "review", "operate")
MOST_KEYS = 1000
_MOST_BYTES = 1 << 20
_LOOK_S = 1.0
_log = structlog.get_logger("endocrine.gateway")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Key(BaseModel):
    """What is known of one key."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[Name, Field(description="The client's name; `client` of the turns it opens.")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the key.")]
    scopes: Annotated[list[Scope], Field(min_length=1, description="What it may do.")]
    rate: Annotated[float, Field(gt=0, le=100_000, description="Requests per second.")] = 100.0
    burst: Annotated[int, Field(ge=1, le=1_000_000, description="Requests at once.")] = 200
    mode: Annotated[Literal["enforce", "observe"], Field(description="observe: decide and record, refuse nothing.")] = (
        "enforce"
    )
    identity: Annotated[
        Literal["body", "header", "user", "fixed"],
        Field(description="Where a request's identity comes from: `body` (else the header), one alone, or fixed."),
    ] = "body"
    fixed_identity: Annotated[str | None, Field(max_length=256, description="The identity of `fixed`.")] = None
    created: Annotated[float, Field(description="Seconds since 1970.")] = 0.0
    revoked: Annotated[float | None, Field(description="Since when it is refused; null: it is valid.")] = None


_KEYS: TypeAdapter[list[Key]] = TypeAdapter(list[Key])


class KeysError(Exception):
    """The file of keys cannot be used. The message names it and what to do, never a key."""


def digest_of(secret: str) -> str:
    """Return SHA-256 of a key, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def read(path: Path) -> list[Key]:
    """Return the keys of a file; none where it does not exist. Raises KeysError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeysError(f"{path}: cannot be read: {error.strerror}; expected a file of API keys") from None
    if len(content) > _MOST_BYTES:
        raise KeysError(f"{path}: larger than {_MOST_BYTES} bytes; expected a file of API keys")
    try:
        return _KEYS.validate_json(content)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise KeysError(f"{path}: not a file of API keys at {place or 'its beginning'}; restore it") from None


@contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """The keys, to be changed in place; written at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = read(path)
        yield keys
        part = path.with_name(f".{path.name}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump([key.model_dump(mode="json") for key in keys], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def create(path: Path, key: Key) -> str:
    """Add a key; returns it, for the only time. `key.sha256` is replaced. Raises KeysError where its name is taken."""
    secret = PREFIX + secrets.token_urlsafe(32)
    with _changing(path) as keys:
        if any(one.name == key.name and one.revoked is None for one in keys):
            raise KeysError(f"{path}: a valid key of the name {key.name!r} exists; revoke it, or use another name")
        if len(keys) >= MOST_KEYS:
            raise KeysError(f"{path}: holds {len(keys)} keys; expected fewer than {MOST_KEYS}")
        keys.append(key.model_copy(update={"sha256": digest_of(secret), "created": time.time()}))
    return secret


def revoke(path: Path, name: str) -> None:
    """Refuse the valid key of this name from now on. Raises KeysError where there is none."""
    with _changing(path) as keys:
        for number, one in enumerate(keys):
            if one.name == name and one.revoked is None:
                keys[number] = one.model_copy(update={"revoked": time.time()})
                return
        raise KeysError(f"{path}: no valid key of the name {name!r}; `endocrine keys list` shows those there are")


class KeyRing:
    """The keys of a file as a gateway sees them: read again, at most once a second, when the file changes.

    Once there was a key, `configured` stays True: a file that vanishes closes the door, it does not open it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: Sequence[Key] = read(path)
        self._state = self._look()
        self._looked = time.monotonic()
        self.configured = bool(self._keys)

    def find(self, secret: str) -> Key | None:
        """Return the valid key with this secret. Takes the same time whichever it is, and where there is none."""
        self.refresh()
        given, found = digest_of(secret), None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, given) and key.revoked is None:
                found = key
        return found

    def find_digest(self, digest: str) -> Key | None:
        """Return the valid key with this SHA-256, hexadecimal: for who proved that they know it before."""
        self.refresh()
        return next((key for key in self._keys if key.sha256 == digest and key.revoked is None), None)

    def refresh(self) -> None:
        """Read the file again where it has changed. One that cannot be read changes nothing."""
        if time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        state = self._look()
        if state == self._state:
            return
        try:
            self._keys = read(self._path)
        except KeysError as error:
            _log.error("the API keys stay as they were", error=str(error))
            return
        self._state = state
        self.configured = self.configured or bool(self._keys)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
