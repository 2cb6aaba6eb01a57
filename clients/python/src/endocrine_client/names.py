"""Commands to the registry of names, as an operator gives them: they fail closed."""

from typing import Literal

from endocrine_client.errors import NameNotTaken
from endocrine_client.flows import Flow, Send
from endocrine_client.protocol import Answer, Json, request

Scope = Literal["identity", "project"]
WAIT_S = 5
"""Seconds that the gateway waits for what becomes of a command."""
_GRACE_S = 5.0


def command(kind: str, scope: Scope, name: str, registered_id: str | None) -> Flow[Json]:
    """The outcome of a command: a record of topic `registry-events`, or `{"kind": "unchanged", ...}`.

    Raises NameNotTaken.
    """
    value = {"kind": kind, "scope": scope, "name": name, "registered_id": registered_id}
    answer: Answer = yield Send(request(f"/v1/names?wait={WAIT_S}", value), WAIT_S + _GRACE_S)
    outcome = answer.value.get("outcome")
    if answer.status == 200 and isinstance(outcome, dict):
        return outcome
    if isinstance(outcome, dict):
        raise NameNotTaken(f"the name is refused: {outcome.get('reason')}", outcome.get("reason"))
    if answer.status == 202:
        raise NameNotTaken(f"the command is on record, and no worker answered within {WAIT_S} s")
    detail = answer.value.get("detail")
    raise NameNotTaken(f"the gateway did not take the command: {detail or answer}")
