"""Where the redactor was; it is shared by agents and connectors now (agents._shared.redaction)."""

from agents._shared.redaction import REDACTED, redact, summarise

__all__ = ["REDACTED", "redact", "summarise"]
