"""What stays of a token when somebody who held it is erased (memory, section 10). Pure."""

from typing import TYPE_CHECKING, cast

import orjson

from endocrine.agents.contract import Output, State, Trigger
from endocrine.agents.meeting.holders import MeetingState, Row

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def holds(state: MeetingState, identity: str) -> bool:
    """Return whether a token's state names an identity."""
    return any(Row(*row).identity == identity for row in state["rows"]) or any(
        identity in orjson.loads(pair) for pair in state["pairs"]
    )


def reduced(state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
    """Return the token's state without the erased identity; none where nobody else held it. No output: hints are
    given for what is met, not for what is gone."""
    known, gone = cast(MeetingState, state), trigger.value.of
    if not holds(known, gone):
        return state, []
    rows = [row for row in known["rows"] if Row(*row).identity != gone]
    pairs = {pair: one for pair, one in known["pairs"].items() if gone not in orjson.loads(pair)}
    after: MeetingState = {**known, "rows": rows, "pairs": pairs}
    return (after if rows or pairs else None), []
