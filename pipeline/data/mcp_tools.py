"""Tools of the Model Context Protocol: what an assistant may read of a gateway. They render what the client gives.

Reads alone: nothing here writes, reviews or approves. Where the gateway is away a tool answers `"status":
"unavailable"`, as the client does; what the gateway refuses is the tool's error.
"""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from endocrine_client import Endocrine, Refused

Json = dict[str, Any]
INSTRUCTIONS = (
    "What Endocrine holds about people and projects. A subject is an identity, or `project:` and a project's id."
    " Trusted state is what operators state; (curated) goes before memories, (disputed) is not settled."
    " Candidates of the memory queue are unreviewed: do not rely on them."
)
MOST = 200
_READING = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
Subject = Annotated[str, Field(min_length=1, max_length=256, description="An identity, or `project:` and an id.")]


def server(client: Endocrine, identity: str, version: str) -> MCPServer[Any]:
    """Return the server. client: is begun and ended with it. identity: whose context is built where none is named."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Any]) -> AsyncIterator[None]:
        async with client:
            yield

    made = MCPServer[Any]("endocrine", instructions=INSTRUCTIONS, version=version, lifespan=lifespan,
                          log_level="WARNING")  # fmt: skip

    @made.tool(annotations=_READING)
    async def context(
        prompt: Annotated[str, Field(min_length=1, description="The question; passages are about it.")],
        project: Annotated[
            str | None, Field(description="Project, by any of its names; the one that the prompt names, if left out.")
        ] = None,
        whose: Annotated[str | None, Field(description="Identity that it is for, by any of its names.")] = None,
        budget: Annotated[int | None, Field(ge=256, le=100_000, description="Characters at most.")] = None,
    ) -> Json:
        """Build a context pack: trusted project state, memories in force and passages, as `formatted_context`."""
        asked = client.context(whose or identity, prompt, project=project, auto=project is None, budget=budget)
        return await _answer(asked)

    @made.tool(annotations=_READING)
    async def memory_queue(
        subject: Subject,
        limit: Annotated[int, Field(ge=1, le=MOST, description="Candidates at most, the oldest first.")] = 50,
    ) -> Json:
        """List candidates that wait for a person's review. They are in no context, and this does not review them."""
        return await _answer(client.memories(subject, status="candidate", limit=limit))

    @made.tool(annotations=_READING)
    async def trusted_state(
        subject: Subject,
        category: Annotated[str | None, Field(description="Of this category, such as status or decision.")] = None,
    ) -> Json:
        """List what operators state about a project or an identity: the highest authority. Active entries alone."""
        return await _answer(client.trusted_state(subject, category=category))

    @made.tool(annotations=_READING)
    async def explain(
        audit_id: Annotated[str, Field(min_length=1, max_length=256, description="Id of the turn.")],
    ) -> Json:
        """Explain a turn: its audit bundle, with the parameters, why they were so, and what tools were decided."""
        return await _answer(client.audit(audit_id))

    return made


async def _answer(asked: Awaitable[Json]) -> Json:
    """What the client gives; what the gateway refuses is an error that the assistant sees."""
    try:
        return await asked
    except Refused as refused:
        raise ToolError(str(refused)) from None
