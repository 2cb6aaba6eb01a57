"""The Python client against the gateway, with a worker behind it."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from endocrine_client import Denied, Endocrine, SyncEndocrine

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEARCH = {"id": "c1", "name": "retrieve_knowledge", "arguments": '{"query": "refunds"}'}
EXECUTE = {"id": "c2", "name": "exec_code", "arguments": '{"code": "1"}'}


async def test_a_turn_is_governed_and_is_on_record(door, who, eventually):
    async with Endocrine(door.url, key=door.secret, spool=False) as endocrine:
        async with endocrine.turn(identity=who, prompt="How long do refunds take?") as turn:
            assert (turn.mode, turn.modulation.revision, turn.modulation.advice) == ("balanced", 0, None)
            assert "retrieve_knowledge" in turn.functions.names
            decided = await turn.tool_call(SEARCH)
            assert (decided.tool, decided.arguments) == ("retrieval", {"query": "refunds"})
            assert (await turn.tool_call(SEARCH)) == decided  # the same call, asked again
            await turn.tool_result(decided, {"passages": []}, duration_ms=2)
            with pytest.raises(Denied) as raised:
                await turn.tool_call(EXECUTE)
            assert raised.value.reason == "disabled_by_flag"
            assert (turn.mode, turn.modulation.revision) == ("strict", 1)
            turn.answer("Ten days.", usage={"prompt_tokens": 3, "completion_tokens": 2})
        assert await endocrine.rate(turn, 5)
        assert await endocrine.signal(who, "stress", 0.4)
        assert await endocrine.flush(30)
        assert (endocrine.counts.delivered, endocrine.counts.refused) == (4, 0)
    async with door.client() as client:
        found = await eventually(
            lambda: client.get(f"/v1/turns/{turn.audit_id}"), lambda a: a.status_code == 200 and a.json()["closed"]
        )
        assert found.json()["closed"]["response"] == "Ten days."
        letters = await client.get("/v1/dead-letters", params={"identity": who})
        assert letters.json()["total"] == 0


async def test_a_turn_of_an_outage_is_on_record_once_afterwards(door, who, eventually, tmp_path):
    spool = tmp_path / "spool.db"
    async with Endocrine("http://127.0.0.1:1", spool=spool, open_s=0.5, close_s=0.1) as endocrine:
        async with endocrine.turn(identity=who, prompt="How long do refunds take?") as turn:
            assert (turn.mode, turn.modulation.advice) == ("strict", "unavailable")
            turn.answer("Ten days.")
        await endocrine.rate(turn, 4)
    # Another process finds them, and its first try gets no answer although the gateway has the record.
    dropped = []

    class Dropping(httpx.HTTPTransport):
        def handle_request(self, request):
            answer = super().handle_request(request)
            if not dropped:
                dropped.append(answer)
                raise httpx.ReadError("cut", request=request)
            return answer

    async with Endocrine(door.url, key=door.secret, spool=spool) as endocrine:
        endocrine._sender._transport = Dropping()
        assert await asyncio.to_thread(_emptied, endocrine)
        assert (endocrine.counts.delivered, endocrine.counts.refused) == (3, 0)
    async with door.client() as client:
        found = await eventually(
            lambda: client.get(f"/v1/turns/{turn.audit_id}"), lambda a: a.status_code == 200 and a.json()["closed"]
        )
        assert found.json()["closed"]["response"] == "Ten days."
        listed = (await client.get("/v1/interactions", params={"identity": who})).json()
        assert [one["audit_id"] for one in listed["items"]] == [turn.audit_id]
        letters = await client.get("/v1/dead-letters", params={"identity": who})
        assert letters.json()["total"] == 0


def _emptied(endocrine):
    return any(endocrine._delivery.deliver(20) for _ in range(20))


async def test_the_blocking_client_and_a_cap(door, who):
    def blocking():
        with SyncEndocrine(door.url, key=door.secret, spool=False) as endocrine:
            with endocrine.turn(identity=who, prompt="How?") as turn:
                turn.answer("So.")
            for _ in range(50):
                with endocrine.turn(identity=who, prompt="How?") as turn:
                    turn.answer("So.")
        return turn

    async with door.client() as client:
        await client.post("/v1/commands/cap", json={"identity": who, "cap": 1})
    with pytest.raises(Denied) as raised:
        await asyncio.to_thread(blocking)
    assert raised.value.reason == "rate_limited"


async def test_the_example_of_the_page_runs_as_it_is_printed(door):
    program = Path(__file__).parents[3] / "examples" / "python-client" / "governed.py"
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ENDOCRINE_")}
    with tempfile.TemporaryDirectory() as state:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), "How long do refunds take?",
            env=environment | {"ENDOCRINE_URL": door.url, "ENDOCRINE_API_KEY": door.secret, "XDG_STATE_HOME": state},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(120):
            output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert process.returncode == 0, output
    assert lines[0].startswith("balanced {'temperature': 0.6, "), lines
    assert lines[1] == "not run: disabled_by_flag; from now on strict"
    assert lines[2].startswith("why it was so: endocrine explain turn-")
    assert len(lines) == 3
