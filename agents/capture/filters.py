"""What capture and ingest leave out or cut, each with a name that is counted (rules section 7)."""

import re
from functools import lru_cache
from typing import Literal

from endocrine.agents.capture.rules import CaptureRules

SkipReason = Literal["meta", "slash_command", "short"]


def skip_reason(prompt: str, rules: CaptureRules, *, marked_meta: bool = False) -> SkipReason | None:
    """Return why this prompt is no turn, or None when it is one. Reasons are tried in the order meta, slash_command,
    short.

    A slash command is the prefix, a letter, and no second prefix in the first word: `/compact now` is one,
    `/etc/hosts is empty` is not.
    """
    text = prompt.strip()
    if marked_meta or text.startswith(rules.meta_prefix):
        return "meta"
    if _command(rules.command_prefix).match(text):
        return "slash_command"
    if len(text) < rules.min_prompt_chars:
        return "short"
    return None


def cut_response(response: str, rules: CaptureRules) -> str:
    """Return it; where it is longer its first `max_response_chars` characters, two line feeds and the mark."""
    if len(response) <= rules.max_response_chars:
        return response
    return f"{response[: rules.max_response_chars]}\n\n{rules.truncation_mark}"


@lru_cache(maxsize=8)
def _command(prefix: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(prefix)}[A-Za-z][\w:.-]*(?:\s|$)")
