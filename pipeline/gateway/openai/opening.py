"""From a parsed request to the turn that it opens."""

from collections.abc import Mapping

from endocrine.pipeline.gateway.openai.functions import application_tools
from endocrine.pipeline.gateway.openai.parsed import ParsedRequest
from endocrine.pipeline.gateway.openai.port import ApplicationRules, Caller, TurnRequest
from endocrine.pipeline.gateway.openai.refusals import Refused

MAX_NAME_CHARS = 256


def turn_request(
    parsed: ParsedRequest,
    caller: Caller,
    rules: ApplicationRules,
    headers: Mapping[str, str],
    *,
    session_key: bytes,
    body_digest: str = "",
    would: tuple[str, ...] = (),
) -> TurnRequest:
    """Return the turn of a request. headers: by lower-case name. Raises Refused for what no record can hold."""
    conversation = parsed.conversation
    opened = {
        "kind": "opened",
        "identity": identity_of(caller, headers, parsed.user),
        "session_id": _header(headers, "endocrine-session") or conversation.session(session_key),
        "turn": conversation.turn_number(),
        "client": caller.client,
        "model": parsed.model,
        "prompt": conversation.prompt(),
        "respond": True,
        "messages": conversation.recorded(),
        "application_tools": application_tools(parsed.functions, rules.reserved_names),
        "asked": dict(parsed.asked),
        "enforce": caller.enforce,
        "door": "openai",
    }
    project = _header(headers, "endocrine-project")
    if project is not None:
        opened["project"] = project
    key = _header(headers, "idempotency-key")
    streamed = parsed.stream if rules.stream == "windowed" else None
    if streamed is False:
        opened["streamed"] = False
    return TurnRequest(opened, conversation.images, key, body_digest, would, streamed)


def identity_of(caller: Caller, headers: Mapping[str, str], user: str | None) -> str:
    """Return the header's, else the body's, else the key's; where the key pins the source, only that, else the
    key's.
    """
    source = caller.identity_from
    named = _header(headers, "endocrine-identity") if source in ("any", "header") else None
    if named is None and source in ("any", "user"):
        named = user or None
    return named or caller.identity or caller.client


def _header(headers: Mapping[str, str], name: str) -> str | None:
    """A header's text, which arrives as Latin-1: read as UTF-8 where it is. None where absent or empty."""
    value = headers.get(name)
    if not value:
        return None
    try:
        value = value.encode("latin-1").decode()
    except (UnicodeEncodeError, UnicodeDecodeError):
        raise Refused("invalid_value", f"The header {name} is not UTF-8.", param=name) from None
    if len(value) > MAX_NAME_CHARS or not value.isprintable():
        wanted = f"1 to {MAX_NAME_CHARS} printable characters"
        raise Refused("invalid_value", f"The header {name}: expected {wanted}.", param=name)
    return value
