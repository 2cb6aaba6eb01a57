"""LangChain with its base URL changed; the model's tool calls are decided before they reach this program.

`python weather.py "What is the weather in Bonn?"`
"""

import os
import sys

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


model = ChatOpenAI(model="gpt-4.1-mini",
                   base_url=os.environ.get("ENDOCRINE_URL", "http://127.0.0.1:8080") + "/openai/v1",
                   api_key=os.environ.get("ENDOCRINE_API_KEY", "none-on-loopback")).bind_tools([weather])  # fmt: skip
messages = [HumanMessage(sys.argv[1])]
while (answer := model.invoke(messages)).tool_calls:  # only calls that were allowed are here
    messages += [answer, *(weather.invoke(call) for call in answer.tool_calls)]
print(answer.text)
