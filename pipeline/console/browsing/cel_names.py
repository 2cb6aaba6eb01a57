"""What an expression may name, here since the process that runs it imports nothing else of ours."""

NAMES = ("key", "value", "headers", "partition", "offset", "timestamp")
