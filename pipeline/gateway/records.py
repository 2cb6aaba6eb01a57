"""From a request's JSON to a record of a topic: defaults filled in, validated by the very model of the topic."""

from typing import Any

import orjson
from pydantic import ValidationError
from starlette.requests import Request

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import Malformed, decode
from endocrine.pipeline.gateway.awaiting import Acknowledged, NotRecorded
from endocrine.pipeline.gateway.callers import ALIASES, Caller, checked_project
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.state import Gateway

DOOR = "http"
MAX_ID_CHARS = 256


def filled(
    topic: str, given: dict[str, Any], request: Request, caller: Caller, slot: Slot, index: int = 0
) -> dict[str, Any]:
    """Return the record's value: the caller's identity, id and time where it names none. Raises Problem.

    A member that is null is left out. Under an idempotency key the key names the id.
    """
    given = {name: part for name, part in given.items() if part is not None}
    identity_field = CATALOGUE[topic].identity_field
    value = {name: part for name, part in given.items() if name not in ALIASES[1:]}
    if identity_field != "identity":
        value.pop("identity", None)
    value[identity_field] = caller.identity(request, given, identity_field)
    if topic == "interactions" and "project" in value:
        value["project"] = checked_project(caller.names, value["project"])
    value.setdefault("ts", slot.ts)
    return identified(value, slot, index)


def identified(value: dict[str, Any], slot: Slot, index: int = 0) -> dict[str, Any]:
    """Return a record with its id: the idempotency key's, where there is one or none is named. Raises Problem, 422."""
    if not slot.keyed and "id" in value:
        return value
    _checked_name(value, "id")
    return value | {"id": slot.id_of(index)}


def by_caller(caller: Caller, value: dict[str, Any]) -> dict[str, Any]:
    """Return a command with who acts: the key's to say, where there is one. Raises Problem, 422."""
    if not caller.keyed and "by" in value:
        return value
    _checked_name(value, "by")
    return value | {"by": caller.name}


def _checked_name(value: dict[str, Any], field: str) -> None:
    """What is replaced must be right all the same: else a fault of the caller shows only without the key."""
    given = value.get(field, "none")
    if not isinstance(given, str) or not 1 <= len(given) <= MAX_ID_CHARS:
        got = f"a text of {len(given)} characters" if isinstance(given, str) else "no text"
        raise Problem("invalid", f"{field}: {got}; expected 1 to {MAX_ID_CHARS} characters", field=field)


def checked(gateway: Gateway, topic: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return the value, if the topic's model takes it. Raises Problem, 422, naming the field."""
    content = orjson.dumps(value)
    try:
        decode(CATALOGUE[topic], content, gateway.settings.max_record_bytes)
    except Malformed as malformed:
        detail = str(malformed).removeprefix(f"{topic}: ")
        field = _field(topic, value) or detail.partition(":")[0]
        kind = "too_large" if malformed.kind == "too_large" else "invalid"
        raise Problem(kind, detail, field=field) from None
    return value


def _field(topic: str, value: dict[str, Any]) -> str | None:
    """The first field that is wrong; unions leave out their tags."""
    try:
        CATALOGUE[topic].validate(value)
    except ValidationError as error:
        place = error.errors(include_input=False, include_url=False, include_context=False)[0]["loc"]
        names = [str(part) for part in place if part in value or isinstance(part, int)]
        return names[0] if names else (str(place[-1]) if place and _plain(place[-1]) else None)
    return None


def _plain(part: Any) -> bool:
    return isinstance(part, str) and len(part) <= 64 and part.replace("_", "").isalnum() and part.isascii()


async def produced(gateway: Gateway, request: Request, topic: str, value: dict[str, Any]) -> Acknowledged:
    """Produce it. Raises Problem, 503, where Kafka does not take it in time."""
    try:
        ack = await gateway.awaiting.produce(topic, value, traceparent=request.headers.get("traceparent"))
    except NotRecorded as error:
        detail = f"the broker did not acknowledge the record in time ({error}); it may have been written"
        raise Problem("not_recorded", detail, headers={"retry-after": "1"}) from None
    gateway.metrics.seconds.labels("ack").observe(ack.ack_s)
    return ack


def timing(gateway: Gateway, ack: Acknowledged, appended: float, received: float) -> str:
    """Return `Server-Timing`: milliseconds to Kafka's acknowledgement, to the decision's append, and to its arrival
    here.

    The broker's clock dates the append, to the millisecond.
    """
    decide, deliver = max(0.0, appended - ack.at), max(0.0, received - max(appended, ack.at))
    gateway.metrics.seconds.labels("decide").observe(decide)
    gateway.metrics.seconds.labels("deliver").observe(deliver)
    hops = {"ack": ack.ack_s, "decide": decide, "deliver": deliver}
    return ", ".join(f"{name};dur={1000 * seconds:.2f}" for name, seconds in hops.items())
