"""Errors named by what the loop must do.

RuntimeFault
├── Retry    transient: wait with backoff, hold the partition
├── Fatal    stop the worker without acknowledging; a person or a supervisor looks
├── Stalled  a partition takes no step: end the process, so that a supervisor starts it anew
└── Fenced   a newer owner has claimed the changelog: this unit must stop without producing

A poison record is no error of the loop: agents raise `agents.contract.Reject`, it is dead-lettered, the loop goes on.
"""


class RuntimeFault(Exception):
    """Base of what can stop a batch."""


class Retry(RuntimeFault):
    """Transient: nothing is lost by trying again."""


class Fatal(RuntimeFault):
    """Going on could lose or double something."""


class Stalled(RuntimeFault):
    """A partition has had records to read and taken no step for too long. The process's exit code says so."""


class Fenced(RuntimeFault):
    """A newer epoch is in the changelog. claimed: its value, which names whose it is (see the port's `epoch`)."""

    def __init__(self, message: str, claimed: bytes | None = None) -> None:
        super().__init__(message)
        self.claimed = claimed
