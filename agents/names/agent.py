"""The registry of names: ids and their aliases, one space of names per scope (memory, section 1).

- A free name is registered. A name that means the same id already changes nothing, but for a new description or new
  roots of an id. A name that means another id is refused, `taken`.
- An alias can be released, an id never (`is_an_id`). A released alias is free again.
- Refused as `invalid`: what can be no name of the scope, a name that differs from its id in case only, a description
  or roots of an alias.
- Each name has a state of its own, so that the registry may be large. Whether an alias's id is registered is seen by
  who resolves (`names.resolve`), not here.
- Outputs: the name's record, then the event. A command that changes nothing has none.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast

from endocrine.agents.contract import Output, State, Trigger
from endocrine.agents.names.rules import fault_of
from endocrine.schemas.commands import RegisterName, ReleaseName
from endocrine.schemas.names import REGISTRY
from endocrine.schemas.vocabulary import NameKind, NameRefusal, NameScope, RegistryEventKind

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


class NameState(TypedDict):
    """State of one name: its record, in the order of `schemas.names.RegisteredName`."""

    scope: NameScope
    name: str
    registered_id: str
    kind: NameKind
    description: str | None
    roots: list[dict[str, str]] | None
    effective_from: float
    released_from: float | None
    by: str
    ts: float


@dataclass(frozen=True)
class Registry:
    """State key: `$registry/<scope>/<lower(name)>`. State: `NameState`."""

    name: str = "registry"
    sources: tuple[str, ...] = ("commands",)
    targets: tuple[str, ...] = ("registry", "registry-events")

    def key(self, trigger: Trigger) -> str:
        """Return the key: one state per name; other commands have none."""
        value = trigger.value
        if isinstance(value, RegisterName | ReleaseName):
            return f"{REGISTRY}/{value.scope}/{value.name.lower()}"
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a command. Never raises."""
        known: NameState | None = state
        if isinstance(trigger.value, RegisterName):
            return _register(known, trigger, trigger.value)
        if isinstance(trigger.value, ReleaseName):
            return _release(known, trigger, trigger.value)
        return state, []


AGENT = Registry()


def _register(known: NameState | None, trigger: Trigger, command: RegisterName) -> tuple[State, list[Output]]:
    is_id = command.name == command.registered_id
    holder = None if known is None or known["released_from"] is not None else known
    if holder is not None and holder["registered_id"] == command.registered_id:
        return _again(holder, trigger, command)
    if not _is_valid(command):
        return known, [_event(trigger, "refused", holder, "invalid")]
    if holder is None:
        registered: NameState = {
            "scope": command.scope,
            "name": command.name,
            "registered_id": command.registered_id,
            "kind": "id" if is_id else "alias",
            "description": command.description,
            "roots": _roots(command),
            "effective_from": command.effective_from,
            "released_from": None,
            "by": command.by,
            "ts": command.ts,
        }
        return registered, _changed(trigger, registered, "registered", None)
    return known, [_event(trigger, "refused", holder, "taken")]


def _again(holder: NameState, trigger: Trigger, command: RegisterName) -> tuple[State, list[Output]]:
    """A name that means this id already."""
    after = cast(NameState, {**holder, **_described(command)})
    if after == holder:
        return holder, []
    if holder["kind"] == "alias":
        return holder, [_event(trigger, "refused", holder, "invalid")]
    after = {**after, "by": command.by, "ts": command.ts}
    return after, _changed(trigger, after, "registered", holder)


def _release(known: NameState | None, trigger: Trigger, command: ReleaseName) -> tuple[State, list[Output]]:
    if known is None:
        return known, [_event(trigger, "refused", None, "unknown")]
    if known["kind"] == "id":
        return known, [_event(trigger, "refused", known, "is_an_id")]
    if known["released_from"] is not None:
        return known, []
    after: NameState = {**known, "released_from": command.effective_from, "by": command.by, "ts": command.ts}
    return after, _changed(trigger, after, "released", known)


def _is_valid(command: RegisterName) -> bool:
    name, registered_id = command.name, command.registered_id
    if any(text != text.strip() or fault_of(command.scope, text) for text in (name, registered_id)):
        return False
    if name == registered_id:
        return True
    return name.lower() != registered_id.lower() and not _described(command)


def _described(command: RegisterName) -> dict[str, Any]:
    """What a command says of an id beyond its name."""
    given = {"description": command.description, "roots": _roots(command)}
    return {name: value for name, value in given.items() if value is not None}


def _roots(command: RegisterName) -> list[dict[str, str]] | None:
    return None if command.roots is None else [root.model_dump() for root in command.roots]


def _changed(trigger: Trigger, state: NameState, kind: RegistryEventKind, holder: NameState | None) -> list[Output]:
    return [Output("registry", REGISTRY, state), _event(trigger, kind, holder, None)]


def _event(trigger: Trigger, kind: RegistryEventKind, holder: NameState | None, reason: NameRefusal | None) -> Output:
    command: RegisterName | ReleaseName = trigger.value
    event = {
        "identity": REGISTRY,
        "kind": kind,
        "scope": command.scope,
        "name": command.name,
        "wanted": command.registered_id if isinstance(command, RegisterName) else None,
        "holder": None if holder is None else holder["registered_id"],
        "reason": reason,
        "by": command.by,
        "command_id": trigger.id,
        "ts": command.ts,
    }
    return Output("registry-events", REGISTRY, event)
