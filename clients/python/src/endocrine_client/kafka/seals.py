"""Whether a record carries a seal of the deployment: a keyed BLAKE2b-128 over what makes it that record, there."""

import hashlib
import hmac
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from endocrine_client.kafka.watch import Raw

_LINE = re.compile(r"([A-Za-z0-9_-]{1,32}):([0-9a-fA-F]{64})")
_PERSON = b"endocrine-seal/1"
_COVERED = ("ce_id", "endocrine-origin", "endocrine-rekeyed-from")
_WAS_SEALED = "endocrine-was-sealed"


class SealKeys:
    """Keys by id. prefix: of the topics."""

    def __init__(self, secrets: Mapping[str, bytes], prefix: str) -> None:
        self._secrets = {name.encode(): secret for name, secret in secrets.items()}
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"SealKeys({len(self._secrets)})"  # a key is never printed

    def valid(self, topic: str, raw: "Raw", headers: Mapping[str, "bytes | None"]) -> bool:
        """Whether the record carries a seal under one of the keys. topic: without prefix."""
        key_id, _, claimed = (headers.get("endocrine-seal") or b"").partition(b":")
        secret = self._secrets.get(key_id)
        if secret is None:
            return False
        # A seal of a dead letter covers whether the record that it holds was sealed.
        dead = topic.endswith(".dlq") and _WAS_SEALED in headers
        name = (self._prefix + topic + (f"/{_WAS_SEALED}" if dead else "")).encode()
        ids = [headers.get(one) for one in _COVERED]
        parts = (raw.key, raw.value, *ids)
        sizes = struct.pack(">6i", raw.partition, *(-1 if part is None else len(part) for part in parts))
        mac = hashlib.blake2b(struct.pack(">I", len(name)) + name + sizes, key=secret, digest_size=16, person=_PERSON)
        for part in (raw.key, *ids, raw.value):
            mac.update(part or b"")
        return hmac.compare_digest(mac.hexdigest().encode(), claimed)


def read_keys(path: Path, prefix: str) -> SealKeys:
    """The keys of a file: one a line, `id:` and 64 hexadecimal digits; `#` begins a comment.

    Raises OSError, ValueError; no error holds a key.
    """
    found: dict[str, bytes] = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        if text := line.partition("#")[0].strip():
            if (key := _LINE.fullmatch(text)) is None:
                raise ValueError(f"{path}:{number}: not a seal key; expected `id:` and 64 hexadecimal digits")
            found[key[1]] = bytes.fromhex(key[2])
    if not found:
        raise ValueError(f"{path}: holds no seal key")
    return SealKeys(found, prefix)
