"""Where the redactor was; it is shared by agents and connectors now (endocrine.agents._shared.redaction)."""

from endocrine.agents._shared.redaction import REDACTED, redact, summarise

__all__ = ["REDACTED", "redact", "summarise"]
