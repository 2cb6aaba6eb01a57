"""Published policies: each must have the digest it is published under."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import rfc8785
from pydantic import ValidationError

from endocrine.agents._shared.prompt_keys import PromptKeyMissing, PromptKeys, prompt_key
from endocrine.agents.policy.canary import arms, as_published, compile_published
from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.digest import canonical_digest
from endocrine.agents.policy.errors import PolicyError
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.record_log import RecordLog
from endocrine.schemas.proofs import PublishedPolicy

Find = Callable[[str, str], None]


def check_policies(logs: Mapping[tuple[str, int], RecordLog], find: Find) -> None:
    """Find policies that are not what they are published as."""
    for (topic, partition), log in logs.items():
        if topic == "policies":
            for raw in log:
                if raw.value is not None and (wrong := _wrong(raw)):
                    find("policy changed", f"policies/{partition} at offset {raw.offset}: {wrong}")


def _wrong(raw: Any) -> str | None:
    try:
        published = PublishedPolicy.model_validate_json(raw.value)
        digest = canonical_digest(published.policy)
    except (ValidationError, rfc8785.CanonicalizationError) as error:
        return f"it is no policy: {error.errors()[0]['msg'] if isinstance(error, ValidationError) else error}"
    if published.digest != digest:
        return f"its document has the digest {digest}, it is published as {published.digest}"
    if raw.key != digest.encode():
        return f"it lies under the key {raw.key!r}, expected {digest}"
    return None


class PolicyHistory:
    """Published policies by digest, compiled when asked for.

    A policy of a version that did not have a section yet, or a field of one, is compiled with it as shipped now: what
    was decided under it knew nothing of it. prompt_keys: the keys of prompt hashes that the policies name. Raises
    KeyError for what was not published as such, and for a policy whose key is not there: its records cannot be made
    again.
    """

    def __init__(self, logs: Mapping[tuple[str, int], Any], prompt_keys: PromptKeys | None = None) -> None:
        self._prompt_keys = prompt_keys or {}
        self._documents: dict[str, Any] = {}
        self._compiled: dict[str, Policy] = {}
        for (topic, _), log in logs.items():
            for raw in log if topic == "policies" else ():
                if raw.value is not None and _wrong(raw) is None:
                    record = orjson.loads(raw.value)
                    self._documents[record["digest"]] = record["policy"]

    def __call__(self, digest: str) -> Policy:
        """The policy of this digest."""
        if digest not in self._compiled:
            if digest not in self._documents:
                raise KeyError("it was never published, or is not as published")
            try:
                policy = _compiled(self._documents[digest], self._prompt_keys)
                for one in arms(policy):
                    prompt_key(one)
            except PromptKeyMissing as error:
                raise KeyError(str(error)) from None
            except PolicyError as error:
                raise KeyError(f"this code refuses it: {error}") from None
            if policy.digest != digest:
                raise KeyError(f"this code reads it as {policy.digest}")
            self._compiled[digest] = policy
        return self._compiled[digest]


def _compiled(published: Mapping[str, Any], prompt_keys: PromptKeys) -> Policy:
    """Compile a published document; its digest is that of what was published. Raises PolicyError."""
    return as_published(compile_published(published, prompt_keys, shipped_policy().resolved), published)
