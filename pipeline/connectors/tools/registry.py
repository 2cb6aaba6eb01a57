"""Which handler runs a connector name: the built-in ones, and external ones by address."""

from collections.abc import Mapping

from endocrine.pipeline.connectors.tools.browser import Browser
from endocrine.pipeline.connectors.tools.external import External
from endocrine.pipeline.connectors.tools.handler import Handler, Off
from endocrine.pipeline.connectors.tools.retrieval import Corpus, Retrieval
from endocrine.pipeline.connectors.tools.scheduler import Scheduler
from endocrine.pipeline.connectors.tools.settings import ToolSettings

_EXTERNAL = "no service is configured; give its address in ENDOCRINE_TOOL_CONNECTORS"


def handlers_of(settings: ToolSettings) -> Mapping[str, Handler]:
    """Return the handler by connector name. A name that is missing here has none: its calls end in an error.

    code_exec and search have no built-in handler at all: nothing of ours runs code or searches the web.
    """
    built_in: dict[str, Handler] = {
        "retrieval": Retrieval(Corpus(settings.corpus))
        if settings.corpus
        else Off("no corpus is configured; set ENDOCRINE_TOOL_CORPUS to a folder"),
        "scheduler": Scheduler(),
        "browser": Browser() if settings.browser else Off("set ENDOCRINE_TOOL_BROWSER=true to enable it"),
        "search": Off(_EXTERNAL),
        "code_exec": Off(_EXTERNAL),
    }
    return {**built_in, **{name: External(url) for name, url in settings.connectors.items()}}


def unhandled(connector: str) -> Handler:
    """Return the handler for a connector name that nothing is configured for."""
    return Off(f"nothing is configured for connector {connector!r}")
