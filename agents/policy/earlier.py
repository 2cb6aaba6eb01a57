"""Policies of versions of the code that had fewer rules: read with the missing ones as shipped now. Pure.

What was decided under such a policy knew nothing of the rules that came later. Its digest stays that of its own
document.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from endocrine.agents._shared.prompt_keys import PromptKeys
from endocrine.agents.policy.compiled import Policy, compile_policy
from endocrine.agents.policy.errors import MISSING, PolicyError

_NOTHING = object()


def compile_earlier(document: Mapping[str, Any], prompt_keys: PromptKeys, shipped: Mapping[str, Any]) -> Policy:
    """Compile a document; of what is missing in it and required by now, the shipped document has the values.

    Sections, and fields of models in them at any depth; never an entry of a free mapping, such as a tool. The digest is
    that of the whole document as this code reads it. Raises PolicyError with what is wrong for other reasons.
    """
    whole = {**{name: section for name, section in shipped.items() if name not in document}, **document}
    while True:
        try:
            return compile_policy(whole, prompt_keys)
        except PolicyError as error:
            lacking = [mistake.path for mistake in error.errors if mistake.wrong == MISSING]
            added = deepcopy(whole)
            if not sum(_copied(shipped, added, path) for path in lacking):  # all of them
                raise
            whole = added


def known(resolved: Any, document: Any) -> Any:
    """Return what a resolved document has of that which another one has: without fields that came later.

    >>> known({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 0}})
    {'a': {'b': 1}}
    """
    if isinstance(resolved, Mapping) and isinstance(document, Mapping):
        return {name: known(part, document[name]) for name, part in resolved.items() if name in document}
    if isinstance(resolved, list) and isinstance(document, list) and len(resolved) == len(document):
        return [known(part, other) for part, other in zip(resolved, document, strict=True)]
    return resolved


def _copied(shipped: Any, into: Any, path: tuple[str, ...]) -> bool:
    """Copy what lies at a path; return False where there is nothing, or no place for it."""
    for name in path[:-1]:
        shipped = shipped.get(name, _NOTHING) if isinstance(shipped, Mapping) else _NOTHING
        into = into.get(name, _NOTHING) if isinstance(into, Mapping) else _NOTHING
    if not isinstance(shipped, Mapping) or not isinstance(into, dict) or path[-1] not in shipped or path[-1] in into:
        return False
    into[path[-1]] = shipped[path[-1]]
    return True
