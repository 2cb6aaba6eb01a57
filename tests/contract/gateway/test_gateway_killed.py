"""A gateway is killed in the middle of requests: clients that ask again under their keys get each turn once."""

import asyncio
import contextlib
import signal
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import httpx2 as httpx
import orjson
import pytest

from effects import running
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.gateway.app import key_file
from endocrine.pipeline.gateway.keys import Key, create
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.process.settings import Settings
from gateway_serving import forget, stack
from openai_stack import policy_of, script
from running import CommandChild

pytestmark = [pytest.mark.slow]
REQUESTS, IDENTITIES, AT_ONCE = 200, 20, 24
KILLS = (50, 120)
"""Answers after which the gateway is killed: there are always others under way."""


PATIENT = {f"ENDOCRINE_GATEWAY_{name}": "60" for name in ("ADVICE_S", "DECISION_S", "ACK_S")}
"""The answer to a retry is looked for among records: on a busy machine that takes longer than a user would wait."""


class Gateway:
    """One gateway after the other on one port, each a process."""

    def __init__(self, settings: Settings, folder) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.child = CommandChild(settings, folder / "gateway.log", ["gateway", "--port", str(self.port)], PATIENT)

    async def start(self) -> None:
        """Return once it serves."""
        await self.child.start()
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client, asyncio.timeout(120):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    async def replaced(self) -> None:
        """Killed, and another one started."""
        assert await self.child.end(signal.SIGKILL) == -signal.SIGKILL
        await self.start()


@pytest.fixture
async def settings(broker, tmp_path) -> AsyncIterator[Settings]:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    made = Settings(bootstrap=broker.bootstrap, redis_url=broker.redis_url, redis_db=12, prefix=prefix,
                    group=prefix + "group", data_dir=tmp_path, partitions=2)  # fmt: skip
    yield made
    await forget(made)


@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1/0"], ids=["with Redis", "Redis is away"])
async def test_clients_that_ask_again_get_each_turn_once(settings, tmp_path, redis_url):
    policy = policy_of(tmp_path)
    scopes = {"scopes": ["capture", "read"], "rate": 1e5, "burst": 10**6}
    secret = create(key_file(settings, GatewaySettings()), Key(name="shop", sha256="0" * 64, **scopes))
    its_own = settings if redis_url is None else settings.model_copy(update={"redis_url": redis_url})
    gateway = Gateway(its_own, tmp_path)
    async with contextlib.AsyncExitStack() as ending:
        model = await ending.enter_async_context(ScriptedServer(script()))
        asking = ModelEffect(ModelSettings(base_url=model.base_url, api_key="any"), policy.document.models)
        await ending.enter_async_context(stack(settings, policy=policy))
        ending.push_async_callback(asking.close)
        await ending.enter_async_context(running(settings, asking))
        await gateway.start()
        ending.push_async_callback(gateway.child.end)
        answers, tries = await asked(gateway, secret)

    assert max(tries) > 1, "no request was under way when the gateway was killed"
    turns = [audit_id for audit_id, _ in answers]
    assert len(set(turns)) == REQUESTS
    opened, decided, closed = await of_turns(settings)
    assert opened.keys() == set(turns)
    assert all(len(set(ids)) == 1 for ids in opened.values()), "a retry is the same record"
    assert decided == Counter(turns), "each turn is decided once"
    answered = [audit_id for audit_id, text in answers if text is not None]
    assert closed == Counter(answered)
    assert len(model.seen) == len(answered) == REQUESTS // 2, "the model is asked once for each turn"


async def asked(gateway: Gateway, secret: str):
    """Ask all, kill now and then. (audit id, answer or None) of each request, and how often each was tried."""
    done = asyncio.Semaphore(0)
    room = asyncio.Semaphore(AT_ONCE)
    tries = [0] * REQUESTS
    headers = {"authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=60, trust_env=False) as client:

        async def one(number: int):
            async with room, asyncio.timeout(240):
                path, body = request_of(number)
                named = {"idempotency-key": f"order {number}", "endocrine-identity": f"p{number % IDENTITIES}"}
                while True:
                    tries[number] += 1
                    try:
                        answer = await client.post(path, json=body, headers=named)
                    except httpx.TransportError:
                        await asyncio.sleep(0.1)  # what a client does before it asks again
                        continue
                    if answer.status_code < 500:
                        break
                    await asyncio.sleep(0.1)
                done.release()
                assert answer.status_code in (200, 201), answer.text
                assert "endocrine-advice" not in answer.headers, "the parameters are those of the decision"
                found = answer.json()
                if number % 2:
                    return found["endocrine"]["audit_id"], found["choices"][0]["message"]["content"]
                return found["audit_id"], None

        async def killing() -> None:
            passed = 0
            for at in KILLS:
                for _ in range(at - passed):
                    await done.acquire()
                passed = at
                await gateway.replaced()

        *answers, _ = await asyncio.gather(*(one(number) for number in range(REQUESTS)), killing())
    return answers, tries


def request_of(number: int):
    """Every second request is a chat completion, the others ask for parameters."""
    prompt = f"How long do refunds of order {number} take?"
    if number % 2:
        return "/openai/v1/chat/completions", {"model": "gpt-4.1", "messages": [{"role": "user", "content": prompt}]}
    return "/v1/turns", {"prompt": prompt}


async def of_turns(settings: Settings):
    """Of each turn: ids of the records that open it, how often it was first decided, and how often it was closed."""
    opened: dict[str, list[str]] = {}
    decided: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    async for topic, _, records in batches(settings, ["interactions", "modulations"]):
        for raw in records:
            value = orjson.loads(raw.value)
            if topic == "modulations":
                decided[value["audit_id"]] += value["revision"] == 0
            elif value["kind"] == "opened":
                opened.setdefault(value["audit_id"], []).append(value["id"])
            else:
                closed[value["audit_id"]] += 1
    return opened, decided, closed
