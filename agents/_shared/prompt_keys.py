"""The key of prompt hashes: the policy names it by its fingerprint, and never holds it.

Incidents and audits carry a keyed hash of the prompt (rules, section 4). Published policies lie on a topic, so the key
itself gets into the policy in force from a file beside the seal keys (endocrine.pipeline.process.prompt_keys).
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

PromptKeys = Mapping[str, bytes]
"""Keys of 32 bytes by their fingerprint."""
FINGERPRINT = r"[0-9a-f]{16}"
_PERSON = b"endo-prompt-key"
"""Domain separation (BLAKE2's personalization, at most 16 bytes)."""


def fingerprint(key: bytes) -> str:
    """Return what a policy calls a key by: BLAKE2b-64 of it, 16 hexadecimal digits. It says nothing of the key."""
    return hashlib.blake2b(key, digest_size=8, person=_PERSON).hexdigest()


class PromptKeyMissing(LookupError):
    """A policy names a key of prompt hashes that is not there."""

    def __init__(self, named: str) -> None:
        super().__init__(
            f"prompts are hashed under the key {named} (gating.prompt_hmac_key_id), and no file with it is here; "
            "expected ENDOCRINE_PROMPT_KEY_FILE to name one"
        )


def prompt_hmac(prompt: str, policy: "Policy") -> str | None:
    """Return HMAC-SHA-256 of a prompt under the policy's key, hexadecimal; None where the policy names none.

    Raises PromptKeyMissing where it names one that is not here.
    """
    key = prompt_key(policy)
    return None if key is None else hmac.new(key, prompt.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def prompt_key(policy: "Policy") -> bytes | None:
    """Return the key of prompt hashes of a policy; None where it names none. Raises PromptKeyMissing where it is not
    here."""
    named = policy.document.gating.prompt_hmac_key_id
    if named is not None and policy.prompt_key is None:
        raise PromptKeyMissing(named)
    return policy.prompt_key if named is not None else None
