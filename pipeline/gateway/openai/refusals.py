"""Refusals of the OpenAI-compatible endpoint, as OpenAI's error envelope with the status that official clients know.

One table (specification, doors section 2): status, type, whether a client may try again, and a sentence that holds no
content of the conversation. The status decides which exception an official client raises.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_MESSAGE_CHARS = 500
MAX_RETRY_AFTER_MS = 3_600_000
_INVALID = "invalid_request_error"
_SERVER = "server_error"


class Kind(NamedTuple):
    """One kind of refusal."""

    status: int
    type: str
    message: str
    retry: bool | None = None
    """`x-should-retry`; None leaves the header out, and the client to its own rule for the status."""


KINDS: Mapping[str, Kind] = {
    "invalid_json": Kind(400, _INVALID, "The body is not a JSON object."),
    "invalid_value": Kind(400, _INVALID, "A parameter has a value that is not accepted."),
    "missing_required_parameter": Kind(400, _INVALID, "A required parameter is missing."),
    "unknown_parameter": Kind(400, _INVALID, "Unknown parameter."),
    "unsupported_parameter": Kind(400, _INVALID, "This parameter is not supported with this value."),
    "invalid_function_parameters": Kind(400, _INVALID, "The JSON Schema of a function is not accepted."),
    "tool_name_taken": Kind(400, _INVALID, "A function of the request has the name of a tool of the gateway."),
    "unknown_tool_call": Kind(400, _INVALID, "A tool result answers no call that was passed on."),
    "missing_tool_result": Kind(400, _INVALID, "A call that was passed on has no result in the request."),
    "duplicate_tool_result": Kind(400, _INVALID, "A call has more than one result in the request."),
    "context_length_exceeded": Kind(400, _INVALID, "The prompt is longer than the policy allows.", False),
    "content_policy_violation": Kind(400, _INVALID, "The prompt was blocked by the policy.", False),
    "invalid_api_key": Kind(401, "authentication_error", "No valid API key was given.", False),
    "insufficient_scope": Kind(403, "permission_error", "The API key lacks the scope for this request.", False),
    "turn_denied": Kind(403, "permission_error", "A person decided that this turn may not run.", False),
    "model_not_found": Kind(404, _INVALID, "The model does not exist or may not be used with this key.", False),
    "unknown_url": Kind(404, _INVALID, "Unknown request URL.", False),
    "request_timeout": Kind(408, _INVALID, "The body did not come in time."),
    "request_too_large": Kind(413, _INVALID, "The body is too large.", False),
    "idempotency_key_reused": Kind(422, _INVALID, "The idempotency key was used with another body.", False),
    "rate_limited": Kind(429, "rate_limit_error", "Too many requests; wait before the next."),
    "insufficient_quota": Kind(429, "insufficient_quota", "The token budget of this identity is spent.", False),
    "model_rate_limited": Kind(429, "rate_limit_error", "The model's provider limits requests now.", False),
    "headers_too_large": Kind(431, _INVALID, "The headers are too large.", False),
    "internal_error": Kind(500, _SERVER, "The gateway failed; the request id names the log entry.", False),
    "model_error": Kind(502, _SERVER, "The model gave no usable answer.", False),
    "decision_timeout": Kind(503, _SERVER, "No decision was made in time; nothing was run.", False),
    "overloaded": Kind(503, _SERVER, "Too many requests wait for an answer; try again later."),
    "model_timeout": Kind(504, _SERVER, "The model did not answer in time.", False),
}


class Refused(Exception):
    """A request, or a turn, that gets no answer.

    code: a key of KINDS. message: a sentence in place of the table's; must hold no content. param: place in the
    request, `messages[0].content`. retry_after_ms: for the headers. audit_id: the turn's, where there is one.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after_ms: int | None = None,
        audit_id: str | None = None,
    ) -> None:
        self.kind = KINDS[code]
        self.code = code
        self.message = (message or self.kind.message)[:MAX_MESSAGE_CHARS]
        self.param = param
        self.retry_after_ms = retry_after_ms
        self.audit_id = audit_id
        super().__init__(f"{code}: {self.message}")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    def error(self) -> dict[str, Any]:
        """Return the value of `error` in the envelope."""
        return {"message": self.message, "type": self.kind.type, "param": self.param, "code": self.code}

    def headers(self) -> dict[str, str]:
        """Return `x-should-retry`, `retry-after` (whole seconds, rounded up) and `retry-after-ms`, where they apply."""
        found: dict[str, str] = {}
        if self.kind.retry is not None:
            found["x-should-retry"] = "true" if self.kind.retry else "false"
        if self.retry_after_ms is not None:
            wait_ms = min(max(self.retry_after_ms, 0), MAX_RETRY_AFTER_MS)
            found["retry-after"] = str(-(-wait_ms // 1000))
            found["retry-after-ms"] = str(wait_ms)
        return found
