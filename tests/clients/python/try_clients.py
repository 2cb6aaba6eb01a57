"""OpenAI Agents SDK and LangChain against the endpoint: prints one line for each mode, and fails where one is wrong.

Arguments: the base URL that tests/clients/serve.py prints. Packages: requirements.txt, in an environment of their own.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import APIError, AsyncOpenAI

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)

SENTENCE = "This answer is withheld."
HELLO = "Hello, wörld. " * 20
RAIN = "It rains in Bonn, not in Köln."


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


@tool("weather")
def weather_of_langchain(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


class Results:
    """What was tried."""

    def __init__(self) -> None:
        self.wrong = 0

    async def check(self, name: str, run: Callable[[], Awaitable[Any]], expected: Any) -> None:
        """Compare what a mode gives, or the code of the error that it raises."""
        try:
            found = await run()
        except APIError as error:
            found = f"raises {error.code}"
        except Exception as error:
            found = f"raises {type(error).__name__}: {error}"[:200]
        right = found == expected
        self.wrong += not right
        print(f"{'ok   ' if right else 'WRONG'} {name}: {str(found)[:80]!r}", flush=True)


async def agents_sdk(base_url: str, results: Results) -> None:
    """Chat and Responses, whole and streamed."""
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=base_url, api_key="good", max_retries=0)
    for api, model in (
        ("chat", OpenAIChatCompletionsModel(model="small", openai_client=client)),
        ("responses", OpenAIResponsesModel(model="small", openai_client=client)),
    ):
        agent = Agent(name="a", instructions="Be kind.", model=model, tools=[weather])
        config = RunConfig(model_settings=ModelSettings(store=False))

        async def whole(prompt: str, agent: Any = agent, config: Any = config) -> Any:
            return (await Runner.run(agent, prompt, run_config=config)).final_output

        async def streamed(prompt: str, agent: Any = agent, config: Any = config) -> Any:
            run = Runner.run_streamed(agent, prompt, run_config=config)
            async for _ in run.stream_events():
                pass
            return run.final_output

        for mode, ask in (("whole", whole), ("stream", streamed)):
            await modes(f"agents-sdk {api} {mode}", ask, results)


async def langchain(base_url: str, results: Results) -> None:
    """Chat and Responses, whole and streamed."""
    for api in ("chat", "responses"):
        model = ChatOpenAI(
            model="small", base_url=base_url, api_key="good", max_retries=0, use_responses_api=api == "responses"
        )
        agent = create_agent(model, [weather_of_langchain])

        async def whole(prompt: str, agent: Any = agent) -> Any:
            found = await agent.ainvoke({"messages": [{"role": "user", "content": prompt}]})
            return found["messages"][-1].text

        async def streamed(prompt: str, agent: Any = agent) -> Any:
            text = ""
            given = {"messages": [{"role": "user", "content": prompt}]}
            async for chunk, _ in agent.astream(given, stream_mode="messages"):
                text += chunk.text if chunk.type == "AIMessageChunk" else ""
            return text

        for mode, ask in (("whole", whole), ("stream", streamed)):
            await modes(f"langchain {api} {mode}", ask, results)


async def modes(name: str, ask: Callable[[str], Awaitable[Any]], results: Results) -> None:
    """Every row of the table in one mode of one client."""
    for prompt, expected in (
        ("hello", HELLO),
        ("weather", RAIN),
        ("all denied", "Then without."),
        ("withheld", SENTENCE),
        ("blocked prompt", "raises content_policy_violation"),
        ("budget", "raises insufficient_quota"),
        ("no decision", "raises decision_timeout"),
        ("rate", "raises rate_limited"),
        ("model error", "raises model_error"),
        ("late failure", "raises model_error"),
    ):
        await results.check(f"{name}: {prompt}", lambda prompt=prompt: ask(prompt), expected)


async def main(base_url: str) -> int:
    """Exit status: 0 where all is right."""
    results = Results()
    await agents_sdk(base_url, results)
    await langchain(base_url, results)
    print(f"{results.wrong} wrong")
    return int(results.wrong > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
