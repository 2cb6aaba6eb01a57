"""Why a call gave no reply: a kind, and a sentence of ours.

The kind is what is before the first colon of `model-replies.error`; the user sees only that (conversation/steps.py).
Nothing of the provider's text, the request, the key or the URL is ever part of either: a provider may echo all of them.

| kind | when |
|---|---|
| http_<status> | the provider answered so, in the status line or in an error body that came with 200 |
| provider_error | an error body or event that gives no status |
| content_filter, refusal | status `refused`: the provider's filter stopped the prompt or the reply; the model refused |
| malformed_reply | the reply cannot be read; the sentence says what is wrong with its shape |
| stream_cut | a stream or body ended before its end |
| too_large | more bytes, characters, calls or levels than the bounds of `models.bounds` |
| token_limit | all tokens were spent before any visible text, or in the middle of a call |
| empty_reply | neither text nor a call |
| no_connection, stalled, timeout | no connection or a broken one; silence in a stream; no reply within the deadline |
| breaker_open | the provider failed again and again and is left alone |
| image_gone, image_changed | an image's bytes are past their retention; what lies at its place is another's |
| image_unread | no broker gave an image's bytes in time |
| internal_error | a mistake of ours |
"""

import re
from collections.abc import Callable


class Failed(Exception):
    """The call gave no reply. `str()` is `kind: sentence`, for a person and for the record."""

    def __init__(
        self,
        kind: str,
        sentence: str,
        *,
        retry: bool,
        after_s: float | None = None,
        provider: bool = True,
        timeout: bool = False,
        refused: bool = False,
    ) -> None:
        """retry: whether asking again may help. after_s: seconds that the provider asked to wait. provider: whether it
        counts against the provider (for the breaker). timeout, refused: the status of the reply, else `error`."""
        super().__init__(f"{kind}: {sentence}")
        self.kind = kind
        self.retry = retry
        self.after_s = after_s
        self.provider = provider
        self.timeout = timeout
        self.refused = refused

    @property
    def status(self) -> str:
        """The status of the reply that says so."""
        return "refused" if self.refused else "timeout" if self.timeout else "error"


class Malformed(Failed):
    """What came is no reply: `shape` says what is wrong with it, and quotes nothing of it."""

    def __init__(self, shape: str) -> None:
        super().__init__("malformed_reply", f"the reply cannot be read: {shape}", retry=True)


class StreamCut(Failed):
    """It ended before its end."""

    def __init__(self, what: str = "the stream") -> None:
        super().__init__("stream_cut", f"the reply cannot be read: {what} ended before its end", retry=True)


class Interrupted(Failed):
    """The connection failed, broke or fell silent."""


class TooLarge(Failed):
    """Beyond a bound. Asking again would most likely give the same."""

    def __init__(self, what: str) -> None:
        super().__init__("too_large", f"the reply {what}", retry=False, provider=False)


def bytes_bound(most: int, name: str) -> TooLarge:
    """Return the failure of more bytes than `models.bounds.<name>`."""
    return TooLarge(f"has more than {most} bytes (models.bounds.{name})")


Hidden = Callable[[str], bool]
"""Whether a word of the provider's may not be shown, since it occurs in what was sent."""
_IDENTIFIER = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)*")
_IDENTIFIER_CHARS = 40
_NOT_ALNUM = re.compile(r"[\W_]+")


def shown_identifier(given: object, hidden: Hidden) -> str | None:
    """Return a provider's code or type where it is a short identifier of letters and underscores, no echo; else
    None.
    """
    if not isinstance(given, str) or len(given) > _IDENTIFIER_CHARS or not _IDENTIFIER.fullmatch(given):
        return None
    return None if hidden(given) else given


def occurs_in(*sent: str) -> Hidden:
    """Return whether a word occurs in one of these texts, whatever the case and what lies between letters and
    digits.
    """
    plain = [_NOT_ALNUM.sub("", text).lower() for text in sent]
    return lambda word: any(_NOT_ALNUM.sub("", word).lower() in text for text in plain)
