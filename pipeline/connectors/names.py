"""The connectors there are, in the order in which they are started."""

CONNECTORS = {
    "model": "endocrine.pipeline.connectors.model.main",
    "tools": "endocrine.pipeline.connectors.tools.main",
    "timekeeper": "endocrine.pipeline.connectors.timers",
}
"""Name to module. Each module has `main(settings, on_ready) -> int`: runs until SIGINT or SIGTERM, calls
`on_ready()` once it works, returns the exit code (0 stopped as asked, 1 failed, 2 its settings cannot be used)."""
TOGETHER = "endocrine.pipeline.connectors.together"
"""The same in one process."""
