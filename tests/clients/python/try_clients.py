"""OpenAI Agents SDK and LangChain against the endpoint: prints one line for each mode, and fails where one is wrong.

Arguments: a file of connections, by prompt, and a file for what was shown, as JSON. Packages: requirements.txt, in an
environment of their own. Clients are tried side by side.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "support"))  # after the standard library, whose names it shares

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import APIError, AsyncOpenAI, OpenAI

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
from openai_shown import modes_of_openai, text_shown, unlabelled

SENTENCE = "This answer is withheld."
HELLO = " ".join(["Hello, wörld."] * 20)
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
    """What was tried, and what was shown: client, case, mode."""

    def __init__(self) -> None:
        self.wrong = 0
        self.shown: dict[str, dict[str, dict[str, str]]] = {}

    async def check(
        self, client: str, mode: str, prompt: str, run: Callable[[], Awaitable[Any]], expected: str
    ) -> None:
        """Compare what a mode gives, or the code of the error that it raises."""
        try:
            found = unlabelled(await run())
            shown = text_shown(found)
        except APIError as error:
            found, shown = f"raises {error.code}", f"{type(error).__name__} {error.code}"
        except Exception as error:
            found = shown = f"raises {type(error).__name__}: {error}"[:200]
        right = found == expected
        self.wrong += not right
        self.shown.setdefault(client, {}).setdefault(prompt, {})[mode] = shown
        print(f"{'ok   ' if right else 'WRONG'} {client} {mode}: {prompt}: {str(found)[:80]!r}", flush=True)


Connections = dict[str, dict[str, str]]
"""`base_url` and `api_key` by prompt."""


async def agents_sdk(connections: Connections, results: Results) -> None:
    """Chat and Responses, whole and streamed."""
    set_tracing_disabled(True)
    config = RunConfig(model_settings=ModelSettings(store=False))
    for api, kind in (("chat", OpenAIChatCompletionsModel), ("responses", OpenAIResponsesModel)):

        def agent(prompt: str, kind: Any = kind) -> Any:
            model = kind(model="small", openai_client=AsyncOpenAI(**connections[prompt], max_retries=0))
            return Agent(name="a", instructions="Be kind.", model=model, tools=[weather])

        async def whole(prompt: str, agent: Any = agent) -> Any:
            return (await Runner.run(agent(prompt), prompt, run_config=config)).final_output

        async def streamed(prompt: str, agent: Any = agent) -> Any:
            run = Runner.run_streamed(agent(prompt), prompt, run_config=config)
            async for _ in run.stream_events():
                pass
            return run.final_output

        for mode, ask in (("whole", whole), ("stream", streamed)):
            await modes("agents-sdk", f"{api} {mode}", ask, list(connections), results)


async def langchain(connections: Connections, results: Results) -> None:
    """Chat and Responses, whole and streamed."""
    for api in ("chat", "responses"):

        def bound(prompt: str, api: str = api) -> Any:
            model = ChatOpenAI(
                model="small", **connections[prompt], max_retries=0, use_responses_api=api == "responses"
            )
            return model.bind_tools([weather_of_langchain])

        async def whole(prompt: str, bound: Any = bound) -> Any:
            return await loop(prompt, bound(prompt).ainvoke)

        async def streamed(prompt: str, bound: Any = bound) -> Any:
            model = bound(prompt)

            async def joined(messages: list[Any]) -> Any:
                answer = None
                async for chunk in model.astream(messages):
                    answer = chunk if answer is None else answer + chunk
                return answer

            return await loop(prompt, joined)

        for mode, ask in (("whole", whole), ("stream", streamed)):
            await modes("langchain", f"{api} {mode}", ask, list(connections), results)


async def loop(prompt: str, ask: Callable[[list[Any]], Awaitable[Any]]) -> Any:
    """Ask, run what is asked for, and ask again, as agents of LangChain do."""
    messages: list[Any] = [HumanMessage(prompt)]
    while (answer := await ask(messages)).tool_calls:
        messages.append(answer)
        messages += [await weather_of_langchain.ainvoke(call) for call in answer.tool_calls]
    return answer.text


EXPECTED = {
    "hello": HELLO,
    "allowed tool": "It rains in Bonn.",
    "forbidden tool": "Then without.",
    "weather": RAIN,
    "all denied": "Then without.",
    "withheld": SENTENCE,
    "blocked prompt": "raises content_policy_violation",
    "budget": "raises insufficient_quota",
    "rate": "raises rate_limited",
    "no decision": "raises decision_timeout",
    "model error": "raises model_error",
    "late failure": "raises model_error",
}


async def modes(
    client: str, mode: str, ask: Callable[[str], Awaitable[Any]], prompts: list[str], results: Results
) -> None:
    """Rows of the table in one mode of one client."""
    for prompt in prompts:
        await results.check(client, mode, prompt, lambda prompt=prompt: ask(prompt), EXPECTED[prompt])


def official(connections: Connections) -> dict[str, dict[str, str]]:
    """What openai-python shows."""
    shown = {}
    for prompt in connections:
        with OpenAI(**connections[prompt], max_retries=0) as client:
            shown[prompt] = modes_of_openai(client, prompt)
    return shown


async def main(connections_file: str, file: str | None = None) -> int:
    """Exit status: 0 where all is right."""
    results = Results()
    connections = json.loads(Path(connections_file).read_text())  # noqa: ASYNC240 - before anything runs
    shown, *_ = await asyncio.gather(
        asyncio.to_thread(official, connections), agents_sdk(connections, results), langchain(connections, results)
    )
    results.shown["openai-python"] = shown
    if file is not None:
        Path(file).write_text(json.dumps(results.shown))  # noqa: ASYNC240 - the end of it all
    print(f"{results.wrong} wrong")
    return int(results.wrong > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
