"""Settings of the tool connector: environment variables `ENDOCRINE_TOOL_*`. As shipped nothing reaches the world."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_settings import SettingsConfigDict
from yarl import URL

from endocrine.pipeline.process.environment import EnvironmentSettings


def _http(url: str) -> str:
    try:
        parsed = URL(url)
    except ValueError:
        raise ValueError("an http or https address") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("an http or https address")
    return url


class ToolSettings(EnvironmentSettings):
    """Every field may be given as `ENDOCRINE_TOOL_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="ENDOCRINE_TOOL_", extra="ignore", frozen=True)

    corpus: Annotated[
        Path | None, Field(description="Folder of .txt and .md files that retrieval searches; None: it is off.")
    ] = None
    browser: Annotated[
        bool, Field(description="True: the browser opens public addresses. The policy's flag must be on as well.")
    ] = False
    connectors: Annotated[
        dict[
            Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")], Annotated[str, AfterValidator(_http)]
        ],
        Field(
            default_factory=dict,
            repr=False,  # an address may hold a login
            description="External tools, connector name to address, as a JSON object. Goes before a built-in one.",
        ),
    ]
    calls: Annotated[
        Literal["all", "conversation"],
        Field(
            description="conversation: run calls of turns we answer alone, which our own seal shows; all: also calls "
            "that applications write, so that whoever may write `tool-calls` can have an allowed tool run."
        ),
    ] = "conversation"
    output_chars: Annotated[int, Field(ge=100, le=200_000, description="Characters of an output, at most.")] = 16_000
    concurrency: Annotated[int, Field(ge=1, le=1024, description="Calls that run at once.")] = 32
