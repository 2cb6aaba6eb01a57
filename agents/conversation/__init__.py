"""The conversation: a pure state machine that answers turns opened with `respond: true`."""
