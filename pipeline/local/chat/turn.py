"""One turn as its records tell it. Pure."""

from typing import Any

Value = dict[str, Any]
TOPICS = (
    "interactions",
    "modulations",
    "model-requests",
    "model-replies",
    "tool-calls",
    "tool-decisions",
    "tool-results",
)
"""What is read of a turn; and `incidents`."""


class Turn:
    """What is known of one turn. `take` each record once, in whatever order."""

    def __init__(self, audit_id: str) -> None:
        self.audit_id = audit_id
        self.modulations: list[Value] = []
        """By revision."""
        self.requests: list[Value] = []
        self.replies: list[Value] = []
        self.calls: dict[str, Value] = {}
        """By call_id."""
        self.decisions: dict[str, list[Value]] = {}
        self.results: dict[str, Value] = {}
        self.incidents: list[Value] = []
        self.closed: Value | None = None

    def take(self, topic: str, value: Value) -> bool:
        """Take in a record; False when it is of another turn."""
        if value.get("audit_id") != self.audit_id:
            return False
        if topic == "modulations":
            self.modulations = sorted([*self.modulations, value], key=lambda one: int(one["revision"]))
        elif topic == "model-requests":
            self.requests.append(value)
        elif topic == "model-replies":
            self.replies.append(value)
        elif topic == "tool-calls":
            self.calls[value["call_id"]] = value
        elif topic == "tool-decisions":
            decisions = self.decisions.setdefault(value["call_id"], [])
            if value.get("reason") != "conflicting_call" or not decisions:
                decisions.append(value)  # a conflict is about a second call under the id, not about this one
        elif topic == "tool-results":
            self.results[value["call_id"]] = value
        elif topic == "incidents":
            self.incidents.append(value)
        elif value.get("kind") == "closed":
            self.closed = value
        return True

    @property
    def waiting(self) -> list[str]:
        """Calls that wait for a person."""
        return [call for call, decisions in self.decisions.items() if decisions[-1]["decision"] == "pending"]
