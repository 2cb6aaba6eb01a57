"""What the registry keeps of a name that is erased: its digest, so that it is not given anew by accident. Pure."""

from typing import TYPE_CHECKING, cast

from endocrine.agents.contract import Erased, Output, State, Trigger
from endocrine.agents.names.agent import NameState
from endocrine.agents.names.claims import ERASED
from endocrine.schemas.names import REGISTRY
from endocrine.schemas.vocabulary import NameScope

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def is_claim(part: str) -> bool:
    """Return whether a state key of the registry, after its identity, is that of a claim.

    >>> is_claim("identity/erased:00"), is_claim("identity/ann")
    (True, False)
    """
    return part.partition("/")[2].startswith(ERASED)


def claimed(state: State, trigger: Trigger) -> tuple[State, list[Output]]:
    """Return the claim and its record; one that is there stays as it is."""
    if state is not None:
        return state, []
    command = trigger.value
    scope, _, name = command.key[len(REGISTRY) + 1 :].partition("/")
    claim: NameState = {
        "scope": cast(NameScope, scope),
        "name": name,
        "registered_id": name,
        "kind": "erased",
        "description": None,
        "roots": None,
        "effective_from": command.ts,
        "released_from": None,
        "by": command.by,
        "ts": command.ts,
    }
    return claim, [Output("registry", REGISTRY, claim)]


def ended(state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
    """Return no state, and the tombstone of the name's record."""
    known = cast(NameState, state)
    return None, [Output("registry", REGISTRY, Erased(scope=known["scope"], name=known["name"]))]
