"""Messages that the person sent while the assistant worked: queued, then delivered in one of several forms.

`enqueue` holds the text. It is delivered as an entry of type user after `dequeue`, as an attachment `queued_command`
beside `remove`, or, by older versions, by `remove` alone. `popAll` takes the messages back for editing.
"""

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Queued:
    """A message on the queue."""

    where: str
    text: str
    ts: float | None
    number: int | None = None
    """The turn that was begun when it left the queue without an entry of its own; None while it waits."""


@dataclass(slots=True)
class Queue:
    """The queue of one session."""

    waiting: list[Queued] = field(default_factory=list)
    left: list[Queued] = field(default_factory=list)
    """Left the queue, their own entry not yet met."""
    early: list[str] = field(default_factory=list)
    """Texts whose entry was met before the operation that takes them off."""

    def enqueue(self, message: Queued) -> None:
        """Put a message on the queue."""
        self.waiting.append(message)

    def take_off(self, text: str | None) -> Queued | None:
        """Take off the message with that text, or the oldest; None where its entry was met already."""
        if self.early and (text is None or text in self.early):
            self.early.remove(self.early[0] if text is None else text)
            return None
        found = next((m for m in self.waiting if text is None or m.text == text), None)
        if found is not None:
            self.waiting.remove(found)
            self.left.append(found)
        return found

    def delivered(self, text: str) -> list[Queued]:
        """Note an entry with that text; return the messages that left the queue before and that it delivers."""
        for same in (lambda message: message.text == text, lambda message: message.text in text):
            if found := [message for message in self.left if same(message)]:
                found = found[:1] if found[0].text == text else found
                self.left = [message for message in self.left if message not in found]
                return found
        for message in [m for m in self.waiting if m.text in text]:
            self.waiting.remove(message)
            self.early.append(message.text)
        return []

    def withdraw(self) -> int:
        """Take all messages back for editing; return their number."""
        count = len(self.waiting)
        self.waiting.clear()
        return count
