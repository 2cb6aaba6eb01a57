"""The policy that this gateway decides its own answers with, and the registry of tools."""

from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents.policy.functions import functions_of
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console


async def policy(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show the policy in force here, section by section."""
    compiled = console.gateway.policy
    on = {one["name"] for one in functions_of(compiled.document.tools.root, compiled)}
    tools = [
        {"name": name, "function": spec.function, "enabled": spec.function in on, "flag": spec.flag}
        for name, spec in compiled.document.tools.root.items()
    ]
    document = compiled.document.model_dump(mode="json")
    sections = [(name, part) for name, part in document.items() if name != "tools"]
    return console.page(
        request, visitor, "policy.html", title="Policy", digest=compiled.digest, tools=tools, sections=sections
    )


PAGES = (Page("/policy", policy, menu="Policy"),)
