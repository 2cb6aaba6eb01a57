"""Building a context pack: what a model is given beside the prompt. Without read models it is empty: it fails open."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents.context.rules import LEAST_BUDGET, MOST_BUDGET, MOST_PASSAGES
from endocrine.agents.names.detect import detect
from endocrine.pipeline.data.context import (
    TOPIC,
    UNAVAILABLE,
    answer_of,
    build,
    empty_answer,
    record_of,
    subjects_of,
)
from endocrine.pipeline.gateway.awaiting import NotRecorded
from endocrine.pipeline.gateway.bodies import read_body
from endocrine.pipeline.gateway.callers import ALIASES, IDENTITY_SCHEMA, Caller, checked_project
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.row import Row, json_response
from endocrine.pipeline.gateway.state import Gateway
from endocrine.schemas.base import Id

Json = dict[str, Any]


class ContextRequest(BaseModel):
    """What a pack is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    identity: Annotated[
        Id | None,
        Field(
            description="Whom it is for; where left out, the header `endocrine-identity` names it.",
            json_schema_extra={"pattern": IDENTITY_SCHEMA["pattern"]},
        ),
    ] = None
    prompt: Annotated[str, StringConstraints(min_length=1), Field(description="The prompt; passages are about it.")]
    project: Annotated[str | None, Field(description="Project; empty or left out: none.")] = None
    auto: Annotated[
        bool, Field(description="Without `project`: the registered one that the prompt names; no pack where none is.")
    ] = False
    budget: Annotated[
        int | None, Field(ge=LEAST_BUDGET, le=MOST_BUDGET, description="Characters; as the policy says where left out.")
    ] = None
    passages: Annotated[
        int | None,
        Field(ge=0, le=MOST_PASSAGES, description="Passages looked for: `retrieval_k` of the turn, where it is known."),
    ] = None


class ContextAnswer(BaseModel):
    """A context pack."""

    status: Annotated[str, Field(description="built, unavailable (no read models), or no_project_match.")]
    fail_open: Annotated[bool | None, Field(description="true: the pack is empty, and the turn may go on.")] = None
    pack_id: str | None
    formatted_context: Annotated[str, Field(description="For `context_pack` of the turn.")]
    total_chars: int
    budget: int
    budget_remaining: int
    project_state_chars: int
    memories_used: Annotated[list[str], Field(description="Ids of the memories in it.")]
    chunks_used: Annotated[int, Field(description="How many passages are in it.")]
    chunks: list[dict[str, Any]]
    disputed: Annotated[list[str], Field(description="Open conflicts that it names.")]
    duration_ms: float
    as_of: Annotated[dict[str, int], Field(description="What the read models had, by `topic/partition`, exclusive.")]
    recorded: Annotated[bool, Field(description="Whether it is on record: a record of topic `context-packs`.")]


async def context(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/context."""
    body = (await read_body(request, gateway.limits.body_bytes, gateway.limits.read_s)).one
    slot = await gateway.idempotency.begin(caller, request, body)
    if slot.answer is not None:
        return slot.answer
    identity = caller.identity(request, body)
    wanted = _wanted({name: part for name, part in body.items() if name not in ALIASES})
    project = checked_project(caller.names, wanted.project)
    if project is None and wanted.auto:
        project = detect(caller.names.entries, "project", wanted.prompt)
    if project is not None and caller.identity_from == "fixed":
        raise Problem("identity_not_allowed", f"the key {caller.name!r} reads its own identity only", field="project")
    budget = gateway.policy.document.context.budget if wanted.budget is None else wanted.budget
    if project is None and wanted.auto:
        return json_response(empty_answer({"status": "no_project_match"}, budget) | {"recorded": False})
    answer = json_response(await _built(gateway, request, caller, slot, identity, project, wanted, budget))
    gateway.idempotency.finish(slot, answer)
    return answer


def _wanted(body: Json) -> ContextRequest:
    """What was asked for. Raises Problem, 422."""
    try:
        return ContextRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] and first["loc"][0] in ContextRequest.model_fields else None
        known = ", ".join(ContextRequest.model_fields)
        detail = f"a field that is not known; expected {known}" if field is None else f"{field}: {first['msg']}"
        raise Problem("invalid", detail, field=field) from None


async def _built(
    gateway: Gateway,
    request: Request,
    caller: Caller,
    slot: Slot,
    identity: str,
    project: str | None,
    wanted: ContextRequest,
    budget: int,
) -> Json:
    subjects = subjects_of(gateway.names, identity, project)
    try:
        if gateway.redis is None:
            raise RedisError("none is configured")
        built = await build(
            gateway.redis, gateway.settings, gateway.policy, wanted.prompt, subjects, gateway.passages, budget,
            wanted.passages,
        )  # fmt: skip
    except (RedisError, OSError, TimeoutError):
        gateway.metrics.contexts.labels("unavailable").inc()
        return empty_answer(UNAVAILABLE, budget) | {"recorded": False}
    gateway.metrics.contexts.labels("built").inc()
    record = record_of(built, subjects, gateway.policy, id=slot.id_of(), by=caller.name, ts=slot.ts)
    return answer_of(built) | {"recorded": await _recorded(gateway, request, record)}


async def _recorded(gateway: Gateway, request: Request, record: Json) -> bool:
    try:
        await gateway.awaiting.produce(TOPIC, record, traceparent=request.headers.get("traceparent"))
    except NotRecorded:
        gateway.metrics.contexts.labels("unrecorded").inc()
        return False
    return True


ROUTES = [
    Row(
        "POST",
        "/v1/context",
        "content",
        context,
        "Build a context pack: trusted state, memories and passages for a prompt. Without read models an empty one.",
        body="ContextRequest",
        answers={200: "ContextAnswer"},
        problems=("identity_not_allowed",),
    )
]
