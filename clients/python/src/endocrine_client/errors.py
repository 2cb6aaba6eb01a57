"""What a program must not do, raised.

    EndocrineError
    ├── Refused             what an operator asked was not done: `reason` says why
    ├── NameNotTaken        the registry of names refused a command, or it is not known whether it took it
    └── NotAllowed          the turn or the tool call must not run
        ├── Denied          decided: `reason` says why
        ├── Pending         a person must agree first, until `expires` at the latest
        └── NotDecided      nobody decided in time, or the answer could not be understood

Nothing else is raised by a client that is used as its signatures say: captures never raise, what an operator asks for
(`register_name`, `release_name`) always says where it failed.
"""


class EndocrineError(Exception):
    """Every error of this package."""


class Refused(EndocrineError):
    """What an operator asked was refused, or could not be confirmed.

    reason: a word; `unavailable` where nobody answered. outcome: the event that says it, where there is one.
    """

    def __init__(self, message: str, *, reason: str, outcome: object = None) -> None:
        super().__init__(message)
        self.message, self.reason, self.outcome = message, reason, outcome


class NameNotTaken(EndocrineError):
    """The registry of names did not take a command. reason: taken, is_an_id, unknown, invalid; None: not known."""

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class NotAllowed(EndocrineError):
    """A turn or a tool call must not run.

    audit_id: the turn. call_id: the tool call; None where the turn itself is meant. reason: a word of the vocabulary.
    message: a sentence for a person or for the model; it holds no content of the call.
    """

    def __init__(self, message: str, *, audit_id: str, call_id: str | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.message, self.audit_id, self.call_id, self.reason = message, audit_id, call_id, reason


class Denied(NotAllowed):
    """Decided: it must not run."""


class Pending(NotAllowed):
    """A person must agree first. expires: seconds since 1970 until which they may; None: not known."""

    expires: float | None = None


class NotDecided(NotAllowed):
    """No decision in time: it must not run. The same call may be asked again."""
