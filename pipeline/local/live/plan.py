"""What a person asked `endocrine run` or `endocrine demo` for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The command and its options."""

    demo: bool
    bootstrap: str | None
    """Kafka to use instead of one of our own."""
    pace: float
    """Records per second."""
    rounds: int
    """Rounds of the scenario to feed, in `run` together with what earlier runs on the folder fed."""

    @property
    def command(self) -> str:
        """Name of the command."""
        return "demo" if self.demo else "run"


class RunFailed(RuntimeError):
    """The run cannot go on. The message says why and what to do."""
