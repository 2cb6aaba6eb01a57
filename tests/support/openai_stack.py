"""What tests of the OpenAI-compatible endpoint on Kafka share: a policy with an application, and a scripted model."""

from pathlib import Path
from typing import Any

import openai

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.local.fake_llm.script import Script, parse_script
from endocrine.pipeline.process.policy_files import load_policy

POLICY = """
applications:
  "*": {tools: [weather, time], strict_tools: [time], models_allowed: ["gpt-*"]}
  owners: {tools: [weather], own_tools: true}
  windows: {tools: [], models_allowed: ["*"], stream: windowed}
budget: {limit: 20000}
review: {hold_at: 0.95}
"""
WEATHER, FORBIDDEN = "weather", "rm_everything"
SECRET = "sk-" + "a" * 24


def function(name: str, argument: str) -> dict[str, Any]:
    """A function with one argument, as chat completions declare it."""
    parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    described = {"name": name, "description": f"The {name}.", "parameters": parameters}
    return {"type": "function", "function": described}


TOOLS = [function(WEATHER, "city"), function(FORBIDDEN, "path")]


def client_of(door: Any, who: str, secret: str | None = None) -> openai.AsyncOpenAI:
    """The official client at a door, as an identity, trying once; with the door's own key where none is given."""
    return openai.AsyncOpenAI(
        base_url=f"{door.url}/openai/v1",
        api_key=secret or door.secret,
        max_retries=0,
        default_headers={"endocrine-identity": who},
    )


def policy_of(folder: Path) -> Policy:
    """The shipped policy with an application."""
    path = folder / "application.yaml"
    path.write_text(POLICY)
    return load_policy(path)


def script() -> Script:
    """Replies by the words of the prompt."""
    weather = {"tool": WEATHER, "arguments": {"city": "Bonn"}}
    evil = {"tool": FORBIDDEN, "arguments": {"path": "/"}}
    own = {"tool": "retrieve_knowledge", "arguments": {"query": "bonn"}}
    fault = {"kind": "status", "status": 500}
    return parse_script(
        {
            "rules": [
                {"name": "mixed", "when": "mixed", "steps": [{"calls": [own, weather]}, {"text": "Got: {results}"}]},
                {"name": "both", "when": "both", "steps": [{"calls": [weather, evil]}, {"text": "Got: {results}"}]},
                {"name": "evil", "when": "forbidden", "steps": [{"calls": [evil]}, {"text": "Then without."}]},
                {"name": "weather", "when": "weather", "steps": [{"calls": [weather]}, {"text": "Got: {results}"}]},
                {"name": "secret", "when": "secret", "steps": [{"text": f"The key is {SECRET}"}]},
                {"name": "limited", "when": "limited", "steps": [{"fault": {**fault, "status": 429}}]},
                {"name": "broken", "when": "broken", "steps": [{"fault": fault}]},
                {"name": "any", "steps": [{"text": "An answer to {prompt}.", "times": 4}]},
            ]
        }
    )
