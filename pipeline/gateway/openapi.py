"""The OpenAPI 3.1 document, made from the rows and the very models of the topics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import models_json_schema

from endocrine.pipeline.gateway.callers import IDENTITY, IDENTITY_SCHEMA, SUBJECT_SCHEMA
from endocrine.pipeline.gateway.problems import CONTENT_TYPE, KINDS
from endocrine.pipeline.gateway.routes.commands import KINDS as COMMANDS
from endocrine.pipeline.gateway.routes.context import ContextAnswer, ContextRequest
from endocrine.pipeline.gateway.routes.interactions import Extracted, ExtractRequest, ReinforceRequest, Sent
from endocrine.pipeline.gateway.routes.links import LinkRequest
from endocrine.pipeline.gateway.row import Row
from endocrine.schemas.base import CallId, Count, Id, Identity, Subject, Ts
from endocrine.schemas.bonds import Detection
from endocrine.schemas.commands import (
    ConflictResolve,
    MemoryCreate,
    MemoryInvalidate,
    MemoryPromote,
    MemoryReject,
    MemorySupersede,
    MemoryUpdate,
    StateSet,
)
from endocrine.schemas.feedback import FeedbackCard
from endocrine.schemas.interactions import Closed, Opened
from endocrine.schemas.memory import ConflictId, MemoryId, MemoryOpinion
from endocrine.schemas.modulations import Modulation
from endocrine.schemas.names import Description, RegisteredName, Roots, Scope
from endocrine.schemas.observations import Observation
from endocrine.schemas.signals import EndocrineSignal
from endocrine.schemas.tools import ToolCall, ToolDecision, ToolResult

REF = "#/components/schemas/{model}"
EVERY_ROW = ("unauthorized", "forbidden", "not_loopback", "too_many_requests", "headers_too_large", "broker_away")
EVERY_BODY = ("bad_request", "not_json", "body_timeout", "too_large", "unsupported_media_type", "invalid",
              "idempotency_mismatch")  # fmt: skip
_ALL = {"title": "JSON", "description": "A JSON object."}


NamedIdentity = Annotated[
    Identity,
    Field(
        description="Whom it is about; where left out, the header `endocrine-identity` names it.",
        json_schema_extra={"pattern": IDENTITY_SCHEMA["pattern"]},
    ),
]


NamedSubject = Annotated[Subject, Field(json_schema_extra={"pattern": SUBJECT_SCHEMA["pattern"]})]


class Problem(BaseModel):
    """An error (RFC 9457). More members say what was decided, where something was."""

    type: Annotated[str, Field(description="`/problems/<kind>`, a page of the gateway.")]
    title: Annotated[str, Field(description="What happened.")]
    status: Annotated[int, Field(description="The status of the response.")]
    detail: Annotated[str, Field(description="What is wrong here, without content.")]
    field: Annotated[str | None, Field(description="The field of the record that is wrong.")] = None
    request_id: Annotated[str | None, Field(description="As in the header `x-request-id`.")] = None


class Recorded(BaseModel):
    """A record that Kafka has."""

    id: Annotated[str, Field(description="Its id.")]
    place: Annotated[str | None, Field(description="`topic/partition/offset`.")] = None
    audit_id: Annotated[str | None, Field(description="The turn it closes.")] = None


class BatchAnswer(BaseModel):
    """What became of one record of a batch."""

    index: Annotated[int, Field(description="Its number in the batch, from 0.")]
    status: Annotated[int, Field(description="The status it would have had alone.")]
    id: Annotated[str | None, Field(description="Its id.")] = None
    error: Annotated[Problem | None, Field(description="Why it was not taken.")] = None


class Batch(BaseModel):
    """An answer for each record."""

    results: Annotated[list[BatchAnswer], Field(description="In the order of the records.")]


class Turn(Modulation):
    """How to call the model for a turn."""

    advice: Annotated[
        str | None, Field(description="`late`: the parameters did not come in time; these are the strict defaults.")
    ] = None


class Decision(ToolDecision):
    """Whether a tool call may run."""

    modulation: Annotated[Modulation | None, Field(description="The latest revision seen while it was decided.")] = None
    enforce: Annotated[bool | None, Field(description="false: the key observes; nothing is refused.")] = None


class Answer(BaseModel):
    """A turn that we answered."""

    audit_id: str
    identity: str
    finish: Annotated[str, Field(description="How it ended.")]
    response: Annotated[str, Field(description="The answer.")]
    modulation: Modulation | None
    decisions: list[ToolDecision]
    usage: dict[str, Any] | None


class Outcome(BaseModel):
    """A command on record."""

    id: str
    outcome: Annotated[dict[str, Any] | None, Field(description="Its outcome within `wait`; null: none yet.")]


class CommandRequest(BaseModel):
    """A command; its kind is in the path."""

    model_config = ConfigDict(extra="forbid")

    identity: NamedIdentity | None = None
    call_id: Annotated[CallId | None, Field(description="approve, deny.")] = None
    audit_id: Annotated[Id | None, Field(description="approve-turn, deny-turn, clear-risk.")] = None
    cap: Annotated[Count | None, Field(description="cap: messages per day; 0: unlimited.")] = None
    text: Annotated[str | None, Field(description="note.")] = None
    reason: Annotated[
        str | None, Field(max_length=2000, description="approve, deny, approve-turn, deny-turn: why, for people.")
    ] = None
    ts: Ts | None = None


class _Naming(BaseModel):
    model_config = ConfigDict(extra="forbid")

    scope: Scope
    name: Annotated[Id, Field(description="The name; compared without regard to case.")]
    by: Annotated[Id | None, Field(description="The operator; a key's name goes first.")] = None
    ts: Ts | None = None


class RegisterName(_Naming):
    """An id, or an alias of one."""

    kind: Literal["register_name"] | None = None
    registered_id: Annotated[
        Id | None, Field(description="The id that the name means; left out: the name is an id itself.")
    ] = None
    description: Description = None
    roots: Roots = None


class ReleaseName(_Naming):
    """An alias is free again."""

    kind: Literal["release_name"]
    registered_id: None = None
    description: None = None
    roots: None = None


class NameRequest(RootModel[RegisterName | ReleaseName]):
    """A command to the registry of names."""


class Names(BaseModel):
    """Names of the registry, by scope and name."""

    items: list[RegisteredName]
    next: Annotated[str | None, Field(description="The next page's cursor; null: there is none.")]


def request_model(name: str, model: type[BaseModel], optional: Iterable[str], without: Iterable[str] = ()) -> Any:
    """Return the model of a request: a topic's, where the door fills in some fields."""
    may, left = set(optional), set(without)
    fields: dict[str, Any] = {}
    for field, info in model.model_fields.items():
        if field in left:
            continue
        kind: Any = NamedIdentity if field == "identity" else _annotated(info)
        if field in may or not info.is_required():
            fields[field] = (Optional[kind], None)  # noqa: UP045 - a type made at run time
        else:
            fields[field] = (kind, ...)
    return create_model(name, __doc__=model.__doc__, __config__={"extra": "forbid"}, **fields)


def _annotated(info: FieldInfo) -> Any:
    kind: Any = Annotated
    return kind[(info.annotation, *info.metadata, Field(description=info.description))]


def subject_request(name: str, model: type[BaseModel]) -> Any:
    """Return the model of a command about a subject: the path says what its kind and its ids are."""
    without = ("kind", "identity", "subject", "memory_id", "conflict_id")
    made = request_model(name, model, ("by", "ts", "id"), without)
    return create_model(name, __base__=made, __doc__=model.__doc__, subject=(NamedSubject, ...))


_SUBJECT_COMMANDS: dict[str, type[BaseModel]] = {
    "MemoryRequest": MemoryCreate,
    "MemoryPromoteRequest": MemoryPromote,
    "MemoryRejectRequest": MemoryReject,
    "MemorySupersedeRequest": MemorySupersede,
    "MemoryInvalidateRequest": MemoryInvalidate,
    "MemoryUpdateRequest": MemoryUpdate,
    "MemoryOpinionRequest": MemoryOpinion,
    "ConflictRequest": ConflictResolve,
}
_COMMON = ("identity", "ts", "id")
REQUESTS: dict[str, Any] = {
    "TurnRequest": request_model(
        "TurnRequest", Opened, (*_COMMON, "audit_id", "session_id", "turn", "client"), ("kind", "door", "enforce")
    ),
    "CloseRequest": request_model("CloseRequest", Closed, _COMMON, ("kind", "audit_id", "finish", "door", "enforce")),
    "tool-calls-request": request_model("ToolCallRequest", ToolCall, (*_COMMON, "step")),
    "tool-results-request": request_model(
        "ToolResultRequest", ToolResult, (*_COMMON, "args_summary", "duration_ms", "output")
    ),
    "feedback-request": request_model("FeedbackRequest", FeedbackCard, _COMMON),
    "signals-request": request_model("SignalRequest", EndocrineSignal, (*_COMMON, "ttl_ms", "source")),
    "observations-request": Observation,
    "detections-request": request_model("DetectionRequest", Detection, _COMMON),
    "CommandRequest": CommandRequest,
    "TrustedStateRequest": request_model("TrustedStateRequest", StateSet, ("by", "ts", "id"), ("kind", "identity")),
    "NameRequest": NameRequest,
    "ContextRequest": ContextRequest,
    "LinkRequest": LinkRequest,
    "ExtractRequest": ExtractRequest,
    "ReinforceRequest": ReinforceRequest,
    **{name: subject_request(name, model) for name, model in _SUBJECT_COMMANDS.items()},
}
_ANSWERS = (Problem, Recorded, Batch, Turn, Decision, Answer, Outcome, Names, ContextAnswer, Extracted, Sent)
ANSWERS: dict[str, Any] = {one.__name__: one for one in _ANSWERS}


Described = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Paths and schemas of another door."""


def document(
    rows: Iterable[Row], version: str, others: Iterable[Described] = (), *, categories: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the whole document. categories: those of trusted state that the policy has, where it is known."""
    refs, schemas = _schemas()
    if categories:
        schemas["TrustedStateRequest"]["properties"]["category"]["enum"] = list(categories)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, refs)
    for path, summary in _PLAIN.items():
        paths[path] = {"get": {"operationId": _name("get", path), "summary": summary, "security": [],
                               "responses": {"200": {"description": "As the summary says."}}}}  # fmt: skip
    for path, item in paths.items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if names:
            item["parameters"] = [_parameter(name) for name in names]
    for more_paths, more_schemas in others:
        paths |= more_paths
        schemas |= more_schemas
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Endocrine gateway",
            "version": version,
            "summary": "Decide how to call the model, hold the limits, prove why.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


_PLAIN = {
    "/livez": "Whether the process lives.",
    "/readyz": "Whether it can answer: broker, topics followed, lag.",
    "/health": "Version, build, policy digest.",
    "/metrics": "Prometheus metrics.",
    "/openapi.json": "This document.",
}


def _schemas() -> tuple[dict[str, str], dict[str, Any]]:
    """References by name, and `components.schemas`."""
    models = REQUESTS | ANSWERS
    plain = {name: model for name, model in models.items() if isinstance(model, type) and issubclass(model, BaseModel)}
    made, whole = models_json_schema([(model, "validation") for model in plain.values()], ref_template=REF)
    schemas: dict[str, Any] = dict(whole["$defs"])
    refs = {name: made[model, "validation"]["$ref"] for name, model in plain.items()}
    for name in models.keys() - plain.keys():
        schema = TypeAdapter(models[name]).json_schema(ref_template=REF)
        schemas |= schema.pop("$defs", {})
        title = models[name].__name__
        _fills(schema, "identity_ref", "ts", "id", "v")
        schemas[title] = schema
        refs[name] = REF.format(model=title)
    return refs, schemas


def _fills(schema: dict[str, Any], identity: str, *names: str) -> None:
    """Say in a record's schema what a request may leave out, its identity and these, or give as null."""
    found = schema["properties"]
    found[identity] = {**IDENTITY_SCHEMA, "description": "Whom it is of; `identity` is taken too, or the header."}
    for name in (identity, *names):
        found[name] = {"anyOf": [found[name], {"type": "null"}]}
    schema["required"] = [name for name in schema["required"] if name not in (identity, *names)]


def _operation(row: Row, refs: Mapping[str, str]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(row.method, row.path),
        "summary": row.summary,
        "description": f"Scope `{row.scope}`.",
        "parameters": [
            {
                "name": one.name,
                "in": "query",
                "required": one.required,
                "description": one.about,
                "schema": dict(one.schema),
            }
            for one in row.query
        ],
    }
    if row.method == "POST":
        operation["parameters"] += [_IDEMPOTENCY, _IDENTITY]
    if row.body is not None:
        one = {"$ref": refs[row.body]}
        schema: Any = {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]} if row.batch else one
        content: dict[str, Any] = {"application/json": {"schema": schema}}
        if row.batch:
            content["application/x-ndjson"] = {"schema": {"type": "string", "description": "One record a line."}}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = _responses(row, refs)
    return operation


def _responses(row: Row, refs: Mapping[str, str]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, name in row.answers.items():
        if "/" in name:
            content: dict[str, Any] = {name: {"schema": {"type": "string"}}}
        else:
            content = {"application/json": {"schema": {"$ref": refs[name]} if name else {}}}
        if row.batch and status == 200:
            content["application/x-ndjson"] = {"schema": {"type": "string"}}
            content["application/json"] = {"schema": {"anyOf": [content["application/json"]["schema"],
                                                                {"$ref": refs["Batch"]}]}}  # fmt: skip
        if row.path == "/v1/turns" and status == 200:
            content["text/event-stream"] = {"schema": {"type": "string"}}
        if any(one.name == "format" for one in row.query):
            content |= {"text/html": {"schema": {"type": "string"}}, "text/csv": {"schema": {"type": "string"}}}
        responses[str(status)] = {"description": "Done." if status != 202 else "On record.", "content": content}
    kinds = [*EVERY_ROW, *row.problems, *(EVERY_BODY if row.body else ("invalid",))]
    for status in sorted({KINDS[kind].status for kind in kinds}):
        titles = [f"{KINDS[kind].title} (`{kind}`)" for kind in dict.fromkeys(kinds) if KINDS[kind].status == status]
        responses[str(status)] = {
            "description": "; ".join(titles),
            "content": {CONTENT_TYPE: {"schema": {"$ref": refs["Problem"]}}},
        }
    return responses


_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A retry under the same key is the same record; another body under it is 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


_IDENTITY = {
    "name": IDENTITY,
    "in": "header",
    "required": False,
    "description": "The identity of the request, where the body names none. UTF-8.",
    "schema": IDENTITY_SCHEMA,
}


_PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "identity": IDENTITY_SCHEMA,
    "subject": SUBJECT_SCHEMA,
    "memory_id": TypeAdapter(MemoryId).json_schema(),
    "conflict_id": TypeAdapter(ConflictId).json_schema(),
}


def _parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if name in _PATH_SCHEMAS:
        schema = dict(_PATH_SCHEMAS[name])
    if name == "kind":
        schema["enum"] = list(COMMANDS)
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _name(method: str, path: str) -> str:
    """An operation's id.

    >>> _name("GET", "/v1/turns/{audit_id}")
    'get_turns_audit_id'
    """
    words = path.replace("{", "").replace("}", "").replace(".", "-").removeprefix("/v1").strip("/")
    return "_".join([method.lower(), *words.replace("-", "_").split("/")])
