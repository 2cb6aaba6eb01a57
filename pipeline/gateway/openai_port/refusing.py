"""Problems of the gateway's core as OpenAI's error envelope, and every error of a path under `/openai` in it."""

from collections.abc import Mapping

from starlette.responses import Response

from endocrine.pipeline.gateway.openai.endpoint import PREFIX, SERVED, refusal
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.problems import Problem, as_problem

FIRST = "/" + PREFIX.strip("/").partition("/")[0]
_CODES: Mapping[str, str] = {
    "unauthorized": "invalid_api_key",
    "forbidden": "insufficient_scope",
    "not_loopback": "insufficient_scope",
    "identity_not_allowed": "insufficient_scope",
    "not_found": "unknown_url",
    "method_not_allowed": "unknown_url",
    "body_timeout": "request_timeout",
    "too_large": "request_too_large",
    "idempotency_mismatch": "idempotency_key_reused",
    "conflict": "idempotency_key_reused",
    "too_many_requests": "rate_limited",
    "headers_too_large": "headers_too_large",
    "internal_error": "internal_error",
    "decision_timeout": "decision_timeout",
    "not_recorded": "overloaded",
    "broker_away": "overloaded",
    "overloaded": "overloaded",
}
_OWN_WORDS = ("unknown_url", "internal_error")


def refused_of(problem: Problem, audit_id: str | None = None) -> Refused:
    """Return the refusal that a problem is here; what has no code of its own is `invalid_value`."""
    code = _CODES.get(problem.kind, "invalid_value")
    wait = problem.headers.get("retry-after-ms") or _milliseconds(problem.headers.get("retry-after"))
    message = None if code in _OWN_WORDS else problem.detail
    if code == "unknown_url":
        message = f"Unknown request URL. Served under {PREFIX}: {', '.join(SERVED)}."
    return Refused(
        code, message, param=problem.field, retry_after_ms=None if wait is None else int(wait), audit_id=audit_id
    )


def render(problem: Problem, request_id: str | None, path: str) -> Response:
    """Return a problem as the path's clients read it."""
    if path != FIRST and not path.startswith(FIRST + "/"):
        return as_problem(problem, request_id, path)
    return refusal(refused_of(problem), request_id or "none")


def _milliseconds(seconds: str | None) -> str | None:
    return f"{seconds}000" if seconds is not None and seconds.isdecimal() else None
