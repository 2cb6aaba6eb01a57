"""Two policies in one: a share of identities is decided under the candidate, the others under the base.

Published and named in journals as one policy, whose digest covers both documents and the share, so that a batch still
has one policy and replay needs nothing else. Which of the two an identity is decided under depends on the identity,
the share and the candidate alone: the same in a worker, `simulate` and replay, for a whole turn, and an identity that
is in a share stays in when the share grows. The share holds for what agents decide about one identity; what a whole
batch goes by (`time`) must be the same in both.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from endocrine.agents._shared.prompt_keys import PromptKeys
from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.digest import canonical_digest
from endocrine.agents.policy.earlier import compile_earlier, known
from endocrine.agents.policy.errors import Mistake, PolicyError, shown

SECTION = "canary"
"""Beside the base's sections: `{share, policy}`, the latter the candidate's document."""
_SPAN = 1 << 32


@dataclass(frozen=True)
class Canary:
    """The base, the candidate, and the share of identities that are decided under the candidate."""

    base: Policy
    candidate: Policy
    share: float
    """Above 0 and below 1."""

    def of(self, identity: str) -> Policy:
        """Return the policy that an identity is decided under."""
        return self.candidate if within(identity, self.candidate.digest, self.share) else self.base


@lru_cache(maxsize=4096)
def within(identity: str, candidate: str, share: float) -> bool:
    """Return whether an identity is in a share, by SHA-256 of the candidate's digest and the identity.

    >>> within("ann", "b" * 64, 0.0), within("ann", "b" * 64, 1.0)
    (False, True)
    """
    found = hashlib.sha256(f"{candidate}/{identity}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(found[:4], "big") < round(share * _SPAN)


def canary_document(base: Mapping[str, Any], candidate: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Return the document of two policies in one, from their documents."""
    return {**base, SECTION: {"share": share, "policy": dict(candidate)}}


def canary_policy(base: Policy, candidate: Policy, share: float) -> Policy:
    """Return two policies as one. Raises PolicyError where they cannot be.

    Where nothing but the document counts (a gateway's own answers to nobody in particular) it is the base.
    """
    mistakes = []
    if not isinstance(share, float) or not 0 < share < 1:
        expected = "a number above 0 and below 1"
        mistakes.append(Mistake((SECTION, "share"), shown(share), "no share of identities", expected))
    if base.digest == candidate.digest:
        text = shown(candidate.digest)
        mistakes.append(Mistake((SECTION, "policy"), text, "the candidate is the base", "a policy that differs"))
    if base.document.time != candidate.document.time:
        text = shown(candidate.resolved["time"])
        expected = "the base's: a batch of many identities goes by it; publish the policy whole to change it"
        mistakes.append(Mistake(("time",), text, "another than the base's", expected))
    if mistakes:
        raise PolicyError(mistakes)
    resolved = canary_document(base.resolved, candidate.resolved, share)
    return replace(base, digest=canonical_digest(resolved), resolved=resolved, canary=Canary(base, candidate, share))


def arms(policy: Policy) -> tuple[Policy, ...]:
    """Return the policies that something may be decided under: this one, or the base and the candidate."""
    return (policy,) if policy.canary is None else (policy.canary.base, policy.canary.candidate)


def compile_published(document: Mapping[str, Any], prompt_keys: PromptKeys, shipped: Mapping[str, Any]) -> Policy:
    """Compile a document as it was published, two policies in one too. Raises PolicyError.

    shipped: of sections and fields that a document of an earlier version of the code does not have. The digest is that
    of the document as this code reads it.
    """
    given = document.get(SECTION)
    plain = compile_earlier(_plain(document), prompt_keys, shipped)
    if given is None:
        return plain
    if (
        not isinstance(given, Mapping)
        or given.keys() != {"share", "policy"}
        or not isinstance(given["policy"], Mapping)
    ):
        raise PolicyError([Mistake((SECTION,), shown(type(given).__name__), "no canary", "{share, policy}")])
    return canary_policy(plain, compile_earlier(_plain(given["policy"]), prompt_keys, shipped), given["share"])


def as_published(policy: Policy, document: Mapping[str, Any]) -> Policy:
    """Return a policy under the digest that its document has without what was missing in it.

    For replay: what was decided under it knew nothing of that.
    """
    if policy.canary is None:
        return replace(policy, digest=canonical_digest(known(policy.resolved, document)))
    one, given = policy.canary, document[SECTION]["policy"]
    base, candidate = as_published(one.base, document), as_published(one.candidate, given)
    resolved = canary_document(known(base.resolved, document), known(candidate.resolved, given), one.share)
    return replace(policy, digest=canonical_digest(resolved), canary=Canary(base, candidate, one.share))


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: section for name, section in document.items() if name != SECTION}
