"""Whether tool results continue a turn: every call of its latest step answered, each once, as it was passed on."""

from collections.abc import Sequence

from endocrine.pipeline.gateway.openai.conversation import same_arguments
from endocrine.pipeline.gateway.openai.port import AnsweredCall, Continuation, PassedTurn, TurnRequest
from endocrine.pipeline.gateway.openai.refusals import Refused


def continuation(
    answered: Sequence[AnsweredCall], turn: PassedTurn | None, request: TurnRequest, place: str = "messages"
) -> Continuation:
    """Return the continuation that a request asks for.

    answered: the results since the last user message, those of earlier steps of the turn too (the Responses API puts
    no message between steps): they were given before, and are no results any more. turn: what was passed on, None
    where no call is known. Raises Refused: unknown_tool_call for a call that was not passed on, or not with this name
    and these arguments; missing_tool_result.
    """
    passed = {call.call_id: call for call in turn.calls} if turn is not None else {}
    for one in answered:
        known = passed.get(one.call_id)
        if known is None or known.name != one.name or not same_arguments(known.arguments, one.arguments):
            raise Refused("unknown_tool_call", param=place)
    if turn is None:
        raise Refused("unknown_tool_call", param=place)
    latest = max(call.step for call in turn.calls)
    results = {one.call_id: one for one in answered}
    wanted = [call.call_id for call in turn.calls if call.step == latest]
    if not all(call_id in results for call_id in wanted):
        raise Refused("missing_tool_result", param=place, audit_id=turn.audit_id)
    identity = str(request.opened["identity"])
    return Continuation(turn.audit_id, identity, tuple(results[call_id] for call_id in wanted), request)
