"""The endpoint in the gateway's OpenAPI document, made from the very models that read its requests."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from endocrine.pipeline.gateway.openai.chat_request import NEUTRAL as CHAT_NEUTRAL
from endocrine.pipeline.gateway.openai.chat_request import ChatRequest
from endocrine.pipeline.gateway.openai.endpoint import PREFIX
from endocrine.pipeline.gateway.openai.refusals import KINDS
from endocrine.pipeline.gateway.openai.responses_request import NEUTRAL as RESPONSES_NEUTRAL
from endocrine.pipeline.gateway.openai.responses_request import ResponsesRequest

Json = dict[str, Any]
_REF = "#/components/schemas/"
_ALWAYS = ("invalid_api_key", "insufficient_scope", "rate_limited", "headers_too_large", "internal_error")
_ELSEWHERE = ("unknown_url", "internal_error")
"""Codes that no described operation answers, or that are a fault of ours."""
_TEXT = {"type": "string"}
_TOKENS = {"type": "integer", "minimum": 0}


def described() -> tuple[Json, Json]:
    """Return (paths, schemas) of the endpoint."""
    paths: Json = {
        f"{PREFIX}/chat/completions": {
            "post": _posting("create_chat_completion", "A chat completion, as OpenAI has it.", "Chat", "ChatCompletion")
        },
        f"{PREFIX}/responses": {
            "post": _posting(
                "create_response", "A response, as OpenAI has it; nothing is stored.", "Responses", "OpenAIResponse"
            )
        },
        f"{PREFIX}/models": {"get": _reading("list_models", "Models that the key may use.", "ModelList", ())},
        f"{PREFIX}/models/{{model}}": {
            "get": _reading("get_model", "One of them.", "OpenAIModel", ("model_not_found",)),
            "parameters": [{"name": "model", "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}],
        },
    }
    schemas = _ANSWERS | _request(ChatRequest, "Chat", CHAT_NEUTRAL)
    return paths, schemas | _request(ResponsesRequest, "Responses", RESPONSES_NEUTRAL)


def _request(model: type[BaseModel], name: str, neutral: Mapping[str, Sequence[Any]]) -> Json:
    """The schemas of a request, each with a name that begins with `name`."""
    whole = model.model_json_schema(ref_template=_REF + "{model}")
    parts = whole.pop("$defs")
    renamed = {part: name + part.lstrip("_").removeprefix(name) for part in parts}
    whole |= {"title": f"{name}Request", "description": "As OpenAI has it; docs/openai.md says what is left out."}
    for field, values in neutral.items():  # accepted, because it asks for nothing that is not done anyway
        only = {"enum": [None, *values], "description": "Not supported; accepted where it changes nothing."}
        whole["properties"].setdefault(field, only)
    found = {f"{name}Request": whole, **{renamed[part]: schema for part, schema in parts.items()}}
    if (message := found.get(f"{name}MessageItem")) is not None:
        message["required"].remove("type")  # items with a role may leave it out
    return {place: _named(schema, renamed) for place, schema in found.items()}


def _named(part: Any, renamed: Mapping[str, str]) -> Any:
    """With the new names of what is referred to, and without what only Python calls so."""
    if isinstance(part, list):
        return [_named(one, renamed) for one in part]
    if not isinstance(part, dict):
        if isinstance(part, str) and part.startswith(_REF):
            return _REF + renamed.get(part.removeprefix(_REF), part.removeprefix(_REF))
        return part
    return {
        key: renamed[one] if key == "title" and one in renamed else _named(one, renamed) for key, one in part.items()
    }


def _posting(name: str, summary: str, request: str, answer: str) -> Json:
    content = {
        "application/json": {"schema": {"$ref": _REF + answer}},
        "text/event-stream": {"schema": {"type": "string", "description": "With `stream: true`."}},
    }
    return {
        "operationId": name,
        "summary": summary,
        "description": "Scope `capture`. docs/openai.md says what is served and refused.",
        "parameters": [_header(one, about) for one, about in _HEADERS.items()],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{_REF}{request}Request"}}},
        },
        "responses": {"200": {"description": "Done.", "content": content}, **_refusals(KINDS)},
    }


def _reading(name: str, summary: str, answer: str, codes: Iterable[str]) -> Json:
    content = {"application/json": {"schema": {"$ref": _REF + answer}}}
    return {
        "operationId": name,
        "summary": summary,
        "description": "Scope `read`.",
        "responses": {"200": {"description": "Done.", "content": content}, **_refusals([*_ALWAYS, *codes])},
    }


def _refusals(codes: Iterable[str]) -> Json:
    """The error of each status, with the codes that it may have."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        if code not in _ELSEWHERE:
            by_status.setdefault(KINDS[code].status, []).append(code)
    return {
        str(status): {
            "description": ", ".join(f"`{code}`" for code in found),
            "content": {"application/json": {"schema": {"$ref": f"{_REF}OpenAIError"}}},
        }
        for status, found in sorted(by_status.items())
    }


def _header(name: str, about: str) -> Json:
    schema = {**_TEXT, "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"}
    return {"name": name, "in": "header", "required": False, "description": about, "schema": schema}


_HEADERS = {
    "Idempotency-Key": "A retry under the same key is the same turn; another body under it is 422.",
    "endocrine-identity": "Whom the turn is for.",
    "endocrine-session": "The conversation; without it, its first messages name it.",
}


def _object(required: str, **properties: Any) -> Json:
    return {"type": "object", "required": required.split(), "properties": properties}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


_CALL = _object(
    "id type function", id=_TEXT, type={"const": "function"},
    function=_object("name arguments", name=_TEXT, arguments=_TEXT),
)  # fmt: skip
_MESSAGE = _object(
    "role content", role={"const": "assistant"}, content=_or_null(_TEXT), refusal={"type": "null"},
    tool_calls={"type": "array", "items": _CALL},
)  # fmt: skip
_CHOICE = _object("index message finish_reason", index={"type": "integer"}, message=_MESSAGE, finish_reason=_TEXT)
_ANSWERS: Json = {
    "OpenAIError": _object(
        "error",
        error=_object("message type param code", message=_TEXT, type=_TEXT, param=_or_null(_TEXT), code=_TEXT),
    ),
    "OpenAIModel": _object("id object", id=_TEXT, object={"const": "model"}, created=_TOKENS, owned_by=_TEXT),
    "ModelList": _object(
        "object data", object={"const": "list"}, data={"type": "array", "items": {"$ref": f"{_REF}OpenAIModel"}}
    ),
    "ChatCompletion": _object(
        "id object created model choices usage endocrine",
        id=_TEXT, object={"const": "chat.completion"}, created=_TOKENS, model=_TEXT,
        choices={"type": "array", "items": _CHOICE},
        usage=_object("prompt_tokens completion_tokens total_tokens", prompt_tokens=_TOKENS,
                      completion_tokens=_TOKENS, total_tokens=_TOKENS),
        endocrine={"type": "object", "description": "What was decided: the turn's audit_id, mode, denied calls."},
    ),
    "OpenAIResponse": _object(
        "id object created_at status output metadata model",
        id=_TEXT, object={"const": "response"}, created_at=_TOKENS, status={"const": "completed"}, model=_TEXT,
        output={"type": "array", "items": _object("id type", id=_TEXT, type=_TEXT)},
        metadata={"type": "object", "additionalProperties": _TEXT},
    ),
}  # fmt: skip
