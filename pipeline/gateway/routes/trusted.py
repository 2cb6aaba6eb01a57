"""Trusted state of a subject: what operators state about it. Read from the read models; written by commands alone.

Writing fails closed: where the read models are away nobody can say whether the subject has room.
"""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.bodies import read_body
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import checked
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.gateway.row import WAIT, Query, Row, checked_query, json_response, one_of, wait_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.subject_commands import WRITING, completed, sent, subject_named
from endocrine.pipeline.views.redis import views
from endocrine.schemas.commands import StateInvalidate
from endocrine.schemas.trusted_state import Category

Json = dict[str, Any]
_EVENTS = "state-events"
_CATEGORY = TypeAdapter[str](Category)
_GIVEN = ("category", "key", "value", "source", "confidence", "by", "ts", "id")


async def read(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/trusted/{subject}."""
    query = checked_query(request, "category", "all")
    everything = one_of(query, "all", ("true", "false")) == "true"
    category = _category_of(query)
    subject = subject_named(gateway, caller, request.path_params["subject"])
    found = await views.trusted(redis_of(gateway), subject, superseded=everything)
    wanted = [entry for entry in found if category in (None, entry["category"])]
    items = [shown_to(caller, "trusted-states", entry) for entry in wanted]
    return json_response({"subject": subject, "items": items})


def _category_of(query: dict[str, str]) -> str | None:
    """The category that the query names; None: it names none. Raises Problem, 422."""
    try:
        return None if "category" not in query else _CATEGORY.validate_python(query["category"])
    except ValidationError:
        detail = "query category: expected 1 to 32 of a-z, 0-9, `_`, a letter first"
        raise Problem("invalid", detail, field="category") from None


async def write(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/trusted/{subject}."""
    wait_s = wait_of(checked_query(request, "wait"))
    subject = subject_named(gateway, caller, request.path_params["subject"])
    body = (await read_body(request, gateway.limits.body_bytes, gateway.limits.read_s)).one
    if unknown := body.keys() - set(_GIVEN):
        raise Problem("invalid", f"{len(unknown)} fields are not known; expected {', '.join(_GIVEN)}")
    slot = await gateway.idempotency.begin(caller, request, body)
    if slot.answer is not None:
        return slot.answer
    value = completed(caller, slot, subject, {**body, "kind": "state_set"})
    value = checked(gateway, "commands", value)
    await with_room(gateway, subject, value["category"], value["key"])
    return await sent(gateway, request, caller, slot, value, wait_s, _EVENTS)


async def with_room(gateway: Gateway, subject: str, category: str, key: str) -> None:
    """Check that an entry may be set: its category is listed, and the subject has room. Raises Problem."""
    rules = gateway.policy.document.trusted_state
    if category not in rules.categories:
        raise Problem("invalid", f"category: expected one of {', '.join(rules.categories)}", field="category")
    active = await views.trusted(redis_of(gateway), subject)
    known = {(entry["category"], entry["key"]) for entry in active}
    if len(known) >= rules.active and (category, key) not in known:
        detail = f"the subject has {len(known)} active entries; expected fewer than {rules.active}: invalidate some"
        raise Problem("conflict", detail, more={"reason": "state_full"})


async def end(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve DELETE /v1/trusted/{subject}."""
    query = checked_query(request, "category", "key", "reason", "wait")
    wait_s = wait_of(query)
    subject = subject_named(gateway, caller, request.path_params["subject"])
    slot = await gateway.idempotency.begin(caller, request, query)
    if slot.answer is not None:
        return slot.answer
    given = {name: text for name, text in query.items() if name != "wait"}
    value = checked(gateway, "commands", completed(caller, slot, subject, {**given, "kind": "state_invalidate"}))
    return await sent(gateway, request, caller, slot, value, wait_s, _EVENTS)


def _field(name: str) -> Json:
    """JSON Schema of a text of the command `state_invalidate`, against which the handler checks it."""
    schema: Json = StateInvalidate.model_json_schema()["properties"][name]
    (text,) = (one for one in schema.get("anyOf", [schema]) if one["type"] == "string")
    return {rule: bound for rule, bound in text.items() if rule in ("type", "pattern", "minLength", "maxLength")}


ROUTES = [
    Row(
        "GET",
        "/v1/trusted/{subject}",
        "read",
        read,
        "Trusted state of an identity, or of `project:` and a project's id: what is in force, by category and key.",
        problems=("views_away", "identity_not_allowed"),
        query=(
            Query("category", "Of this category.", _field("category")),
            Query("all", "What was superseded, too.", {"type": "string", "enum": ["true", "false"]}),
        ),
    ),
    Row(
        "POST",
        "/v1/trusted/{subject}",
        "operate",
        write,
        "State something: 202, or 200 with the event within `wait` seconds; 409 where it is refused.",
        body="TrustedStateRequest",
        answers={200: "Outcome", 202: "Outcome"},
        problems=(*WRITING, "views_away"),
        query=(WAIT,),
    ),
    Row(
        "DELETE",
        "/v1/trusted/{subject}",
        "operate",
        end,
        "End an entry: 202, or 200 with the event within `wait` seconds; 404 where nothing is active there.",
        answers={200: "Outcome", 202: "Outcome"},
        problems=WRITING,
        query=(
            Query("category", "Its category.", _field("category"), required=True),
            Query("key", "Its key.", _field("key"), required=True),
            Query("reason", "Why.", _field("reason")),
            WAIT,
        ),
    ),
]
