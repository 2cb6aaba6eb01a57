"""One governed call by the Python client: `python governed.py "How long do refunds take?"` (docs/applications.md)."""

import asyncio
import sys

from endocrine_client import Endocrine, NotAllowed


async def main(text: str) -> None:
    """Open a turn, ask about a tool call, answer, rate."""
    async with Endocrine() as endocrine:
        async with endocrine.turn(identity="ann", prompt=text) as turn:
            print(turn.mode, turn.parameters.openai(), *turn.functions.names)  # call your model with these
            try:
                decision = await turn.tool_call({"id": "c1", "name": "exec_code", "arguments": {"code": "1"}})
                await turn.tool_result(decision, "what your tool returned")
            except NotAllowed as error:
                print(f"not run: {error.reason}; from now on {turn.mode}")
            turn.answer("Within 14 days.")
        await endocrine.rate(turn, 5)
        print(f"why it was so: endocrine explain {turn.audit_id}")


if len(sys.argv) != 2:
    sys.exit(f'usage: python {sys.argv[0]} "How long do refunds take?"')
asyncio.run(main(sys.argv[1]))
