"""One governed turn over Kafka: parameters before the model is called, a decision before each tool runs.

    python governed.py "How long do refunds take?" --identity ann

Needs aiokafka and a running Endocrine (docs/applications.md). With OPENAI_API_KEY it asks a model; without one, a
stand-in that answers from a script and says so.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import time
import urllib.request
import uuid
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

Record = dict[str, Any]
WAIT_S = float(os.environ.get("ENDOCRINE_EXAMPLE_WAIT_S", "15"))
"""Seconds to wait for parameters, and for a decision."""
STRICT = {"temperature": 0.2, "top_p": 0.5, "max_output_tokens": 500}
"""Used where no parameters came in time: the call is still made, with nothing to act with."""
STEPS = 6
NOTES = {"refund": "Refunds are paid within 14 days.", "hours": "Support answers from 9 to 17, Monday to Friday."}


class Governor:
    """Writes what happens in a turn, and waits for what Endocrine answers. One per process serves all its turns."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix = prefix
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(
            prefix + "modulations",
            prefix + "tool-decisions",
            bootstrap_servers=bootstrap,
            group_id=None,  # every process reads all answers and picks out its own
            isolation_level="read_committed",
        )
        self._modulations: dict[str, Record] = {}
        self._decisions: dict[str, Record] = {}
        self._came = asyncio.Condition()
        self._open: set[str] = set()

    async def __aenter__(self) -> "Governor":
        try:
            await self._producer.start()
            await self._consumer.start()
            if not (partitions := self._consumer.assignment()):
                raise SystemExit("error: Endocrine's topics are not there; start it first (endocrine run --rounds 0)")
            # From here on: whatever answers the turns we are about to open is written later than this.
            await self._consumer.seek_to_end(*partitions)
            for partition in partitions:
                await self._consumer.position(partition)
        except BaseException:
            await self._stop()
            raise
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await self._stop()

    async def _stop(self) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    async def _read(self) -> None:
        async for message in self._consumer:
            record = json.loads(message.value)
            if record["audit_id"] not in self._open:
                continue
            async with self._came:
                if message.topic.endswith("tool-decisions"):
                    self._decisions[record["call_id"]] = record
                elif record["revision"] >= self._modulations.get(record["audit_id"], {}).get("revision", 0):
                    self._modulations[record["audit_id"]] = record
                self._came.notify_all()

    async def send(self, topic: str, **record: Any) -> None:
        """Write a record, keyed by its identity, so that one person's life stays in order."""
        record["ts"] = time.time()
        value = json.dumps(record).encode()
        await self._producer.send_and_wait(self._prefix + topic, value, key=record["identity"].encode())

    async def open(self, **opened: Any) -> Record | None:
        """Open a turn; its modulation, or None where none came in time."""
        self._open.add(opened["audit_id"])
        await self.send("interactions", kind="opened", **opened)
        return await self.modulation(opened["audit_id"], 0)

    async def close(self, **closed: Any) -> None:
        """Close a turn, and forget what was answered about it."""
        await self.send("interactions", kind="closed", **closed)
        self._open.discard(closed["audit_id"])
        self._modulations.pop(closed["audit_id"], None)
        self._decisions = {key: one for key, one in self._decisions.items() if one["audit_id"] != closed["audit_id"]}

    async def modulation(self, audit_id: str, revision: int) -> Record | None:
        """The parameters in force, of at least this revision; None where they did not come in time."""

        def there() -> bool:
            return bool(self._modulations.get(audit_id, {}).get("revision", -1) >= revision)

        return self._modulations[audit_id] if await self._wait(there, WAIT_S) else None

    async def decide(self, call: Record) -> Record | None:
        """Ask for a tool call to be decided; None where no decision came in time: then it must not run.

        A call that waits for a person is decided twice. Here it is given up; a server would go on waiting.
        """
        await self.send("tool-calls", **call)
        return (
            self._decisions[call["call_id"]]
            if await self._wait(lambda: call["call_id"] in self._decisions, WAIT_S)
            else None
        )

    async def _wait(self, there: Any, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds), self._came:
                await self._came.wait_for(there)
        except TimeoutError:
            return False
        return True


async def turn(governor: Governor, identity: str, prompt: str, signals: list[Record]) -> bool:
    """A turn from its opening to its rating; whether it was admitted."""
    me = {"audit_id": f"turn-{uuid.uuid4().hex[:12]}", "identity": identity}
    opened = {"session_id": "example", "turn": 0, "client": "kafka-python", "prompt": prompt}
    modulation = await governor.open(**me, **opened, **({"signals": signals} if signals else {}))
    if modulation and not modulation["admitted"]:
        print(f"turn {me['audit_id']} is not admitted: {modulation['refusal']}")
        return False
    messages: list[Record] = [{"role": "user", "content": prompt}]
    answer, usage = "", {"input_tokens": 0, "output_tokens": 0}
    for step in range(1, STEPS + 1):
        show(me["audit_id"], modulation)
        parameters = modulation["parameters"] if modulation else STRICT
        functions = modulation["functions"] if modulation else []
        reply = await asyncio.to_thread(ask_model, messages, parameters, functions)
        usage = {name: usage[name] + reply["usage"][name] for name in usage}
        answer = reply["content"]
        if not reply["tool_calls"]:
            break
        messages.append({"role": "assistant", "content": answer, "tool_calls": reply["tool_calls"]})
        revision = 0
        for asked in reply["tool_calls"]:
            content, needed = await tool(governor, me, asked, step)
            revision = max(revision, needed)
            messages.append({"role": "tool", "tool_call_id": asked["id"], "content": content})
        # A blocked call makes its turn strict: the next step waits for the parameters that say so.
        modulation = await governor.modulation(me["audit_id"], revision)
    await governor.close(**me, response=answer, usage=usage)
    print(f"answer: {answer}")
    await governor.send("feedback", identity=identity, target_action_id=me["audit_id"], rating=5)
    print(f"rated 5; why it was so: endocrine explain {me['audit_id']}")
    return True


async def tool(governor: Governor, me: Record, asked: Record, step: int) -> tuple[str, int]:
    """Have a tool call decided and run it if it is allowed: what the model hears of it, the revision to wait for."""
    name, arguments = asked["function"]["name"], asked["function"]["arguments"]
    call = {"call_id": f"call-{uuid.uuid4().hex[:12]}", **me, "tool": name, "arguments": arguments, "step": step}
    decision = await governor.decide(call)
    if decision is None or decision["decision"] != "allowed":
        reason = decision["reason"] if decision else "no decision in time"
        print(f"  tool {name}: not run, {reason}")
        return f"tool {name} is not allowed, go on without it", (decision or {}).get("revision") or 0
    started = time.monotonic()
    output = {"passages": [text for word, text in NOTES.items() if word in str(arguments).lower()]}
    result = {"status": "ok", "duration_ms": 1000 * (time.monotonic() - started), "output": output}
    summary = f"{len(str(arguments))} characters"  # never the arguments as they are: they may repeat the user
    own = {"call_id": call["call_id"], "tool": decision["tool"], "args_summary": summary}
    await governor.send("tool-results", **me, **own, **result)
    print(f"  tool {name}: allowed, done")
    return json.dumps(output), decision["revision"] or 0


def show(audit_id: str, modulation: Record | None) -> None:
    """A line for a person: under which parameters the model is asked now."""
    if modulation is None:
        print(f"turn {audit_id}: no parameters came in time; asked strictly and without tools")
        return
    parameters, functions = modulation["parameters"], [function["name"] for function in modulation["functions"]]
    print(
        f"turn {audit_id}, revision {modulation['revision']}: {modulation['mode']}, temperature"
        f" {parameters['temperature']:.2f}, at most {parameters['max_output_tokens']} tokens, tools"
        f" {', '.join(functions) or 'none'}"
    )


def ask_model(messages: list[Record], parameters: Record, functions: list[Record]) -> Record:
    """A reply under these parameters: content, tool_calls, usage."""
    if not (key := os.environ.get("OPENAI_API_KEY")):
        return scripted(messages, functions)
    body: Record = {"model": os.environ.get("MODEL", "gpt-4.1-mini"), "messages": messages}
    body |= {"temperature": parameters["temperature"], "top_p": parameters["top_p"]}
    body |= {"max_tokens": parameters["max_output_tokens"]}
    if functions:
        body["tools"] = [{"type": "function", "function": function} for function in functions]
    url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1").rstrip("/") + "/chat/completions"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        found = json.load(response)
    message, used = found["choices"][0]["message"], found.get("usage", {})
    usage = {"input_tokens": used.get("prompt_tokens", 0), "output_tokens": used.get("completion_tokens", 0)}
    return {"content": message.get("content") or "", "tool_calls": message.get("tool_calls") or [], "usage": usage}


def scripted(messages: list[Record], functions: list[Record]) -> Record:
    """The stand-in: looks something up, then tries to run code, which nobody offered, then answers."""
    usage = {"input_tokens": 0, "output_tokens": 0}
    tries = [
        ("retrieve_knowledge", {"query": messages[0]["content"]}),
        ("exec_code", {"language": "bash", "source": "id"}),
    ]
    done = sum(message["role"] == "tool" for message in messages)
    if done < len(tries):
        name, arguments = tries[done]
        function = {"name": name, "arguments": json.dumps(arguments)}
        calls = [{"id": f"scripted-{done}", "type": "function", "function": function}]
        return {"content": "", "tool_calls": calls, "usage": usage}
    found = [message["content"] for message in messages if message["role"] == "tool"]
    return {"content": f"[scripted] I found: {found[0]}", "tool_calls": [], "usage": usage}


async def main() -> int:
    """Read the command line and run one turn. Exit codes: 0 done, 1 not admitted, 2 no broker."""
    parser = argparse.ArgumentParser(description="One governed turn over Kafka.")
    parser.add_argument("prompt")
    parser.add_argument("--identity", default="ann", help="who the turn is for")
    parser.add_argument(
        "--signal", action="append", default=[], metavar="NAME=LEVEL", help="such as alignment_risk=0.5"
    )
    asked = parser.parse_args()
    signals = [{"name": name, "level": float(level)} for name, _, level in (one.partition("=") for one in asked.signal)]
    bootstrap = os.environ.get("ENDOCRINE_BOOTSTRAP", "127.0.0.1:9092")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        async with Governor(bootstrap, os.environ.get("ENDOCRINE_PREFIX", "endocrine.")) as governor:
            return 0 if await turn(governor, asked.identity, asked.prompt, signals) else 1
    except KafkaConnectionError:
        print(f"error: no broker answers at {bootstrap}; set ENDOCRINE_BOOTSTRAP=HOST:PORT", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
