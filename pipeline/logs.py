"""Logs: structured, on stderr, one line each; libraries speak only when something is wrong."""

import logging
import sys

import structlog


def set_up_logs(level: str = "INFO") -> None:
    """Configure structlog and quiet the libraries. level: of our own loggers."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
