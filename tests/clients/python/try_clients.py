"""OpenAI Agents SDK and LangChain against the endpoint: prints one line for each mode, and fails where one is wrong.

Arguments: the base URL that tests/clients/serve.py prints. Packages: requirements.txt, in an environment of their own.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import HumanMessage
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
        bound = model.bind_tools([weather_of_langchain])

        async def whole(prompt: str, bound: Any = bound) -> Any:
            return await loop(prompt, bound.ainvoke)

        async def streamed(prompt: str, bound: Any = bound) -> Any:
            async def joined(messages: list[Any]) -> Any:
                answer = None
                async for chunk in bound.astream(messages):
                    answer = chunk if answer is None else answer + chunk
                return answer

            return await loop(prompt, joined)

        for mode, ask in (("whole", whole), ("stream", streamed)):
            await modes(f"langchain {api} {mode}", ask, results)


async def loop(prompt: str, ask: Callable[[list[Any]], Awaitable[Any]]) -> Any:
    """Ask, run what is asked for, and ask again, as agents of LangChain do."""
    messages: list[Any] = [HumanMessage(prompt)]
    while (answer := await ask(messages)).tool_calls:
        messages.append(answer)
        messages += [await weather_of_langchain.ainvoke(call) for call in answer.tool_calls]
    return answer.text


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
