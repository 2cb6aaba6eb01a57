"""Errors as `application/problem+json` (RFC 9457): a type with a page, a status, what to do, the field."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response

CONTENT_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """One type of problem."""

    status: int
    title: str
    advice: str
    """What the caller should do."""


KINDS: Mapping[str, Kind] = {
    "not_json": Kind(400, "The body is not JSON", "Send one JSON document in UTF-8; NaN and Infinity are no JSON."),
    "bad_request": Kind(400, "The request cannot be read", "Correct what `detail` names."),
    "unauthorized": Kind(401, "No valid API key", "Send `Authorization: Bearer KEY` or `x-api-key: KEY`."),
    "forbidden": Kind(403, "The API key lacks a scope", "Use a key that has the scope that `detail` names."),
    "identity_not_allowed": Kind(403, "The API key speaks for another identity", "Leave `identity` out."),
    "not_loopback": Kind(403, "Without API keys only this machine may call", "Make a key: `endocrine keys create`."),
    "tool_denied": Kind(403, "The tool call is denied", "Do not run it; `reason` says why."),
    "not_found": Kind(404, "There is no such thing", "Check the id; a view may be a moment behind."),
    "method_not_allowed": Kind(405, "The path does not take this method", "Use a method of the header `allow`."),
    "body_timeout": Kind(408, "The body did not come in time", "Send it faster, or in smaller parts."),
    "gone": Kind(410, "It was there and is not kept any longer", "Its retention has passed, or it was erased."),
    "conflict": Kind(409, "It contradicts what is on record", "Use another id, or send the same content."),
    "too_large": Kind(413, "The body is too large", "Send at most as much as `detail` says."),
    "unsupported_media_type": Kind(415, "The content type is not read", "Send application/json or x-ndjson, as is."),
    "invalid": Kind(422, "The record is not valid", "Correct the field that `field` names."),
    "idempotency_mismatch": Kind(422, "The idempotency key was used for another body", "Use a new key."),
    "too_many_requests": Kind(429, "The API key's rate is exceeded", "Wait as `retry-after` says."),
    "rate_limited": Kind(429, "The identity's cap of turns is reached", "Wait, or raise the cap."),
    "budget_exceeded": Kind(429, "The identity's token budget is spent", "Wait until the budget is renewed."),
    "refused": Kind(403, "The turn is refused", "Do not call the model; `refusal` says why."),
    "headers_too_large": Kind(431, "The header block is too large", "Send at most as much as `detail` says."),
    "internal_error": Kind(500, "A fault of ours", "Report it with `request_id`."),
    "model_error": Kind(502, "The model failed", "Try again later."),
    "decision_timeout": Kind(503, "No decision came in time", "The call must not run. Try again with the same key."),
    "not_recorded": Kind(503, "The broker did not take the record", "Try again with the same idempotency key."),
    "overloaded": Kind(503, "Too many requests wait", "Wait as `retry-after` says."),
    "views_away": Kind(503, "The read models cannot be read", "Try again later; captures and decisions go on."),
    "broker_away": Kind(503, "The broker does not answer", "Try again later."),
    "answer_timeout": Kind(504, "No answer came in time", "The turn goes on: read it at /v1/turns/{id}."),
    "model_timeout": Kind(504, "The model did not answer in time", "Try again later."),
}
"""Every type of problem; `/problems/<kind>` is its page."""


class Problem(Exception):
    """An error to be answered. kind: of KINDS. more: extension members. headers: of the response."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        field: str | None = None,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.field = kind, detail, field
        self.status = KINDS[kind].status
        self.more, self.headers = dict(more or {}), dict(headers or {})

    def as_json(self, request_id: str | None = None) -> dict[str, Any]:
        """Return the document."""
        document = {
            "type": f"/problems/{self.kind}",
            "title": KINDS[self.kind].title,
            "status": self.status,
            "detail": self.detail,
            "field": self.field,
            "request_id": request_id,
        }
        return {name: value for name, value in document.items() if value is not None} | self.more


def response_of(problem: Problem, request_id: str | None) -> Response:
    """Return the problem as a response."""
    content = orjson.dumps(problem.as_json(request_id))
    return Response(content, problem.status, problem.headers, CONTENT_TYPE)


Render = Callable[[Problem, str | None, str], Response]
"""How a problem becomes a response: problem, request id, path that was asked."""


def as_problem(problem: Problem, request_id: str | None, path: str) -> Response:
    """Return the response of every path that has no form of its own."""
    return response_of(problem, request_id)
