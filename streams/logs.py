"""Structured logs on standard error: key=value on a terminal, JSON lines elsewhere."""

import logging
import sys

import structlog


def configure_logging(level: str, **context: str) -> None:
    """Send our log and the libraries' (at WARNING and above) to standard error, with `context` on every line of ours."""
    threshold = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**context)
    logging.basicConfig(
        level=max(threshold, logging.WARNING), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
