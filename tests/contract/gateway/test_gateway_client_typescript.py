"""The TypeScript client, once it is built (`make client-ts`), against the gateway with a worker behind it."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[3] / "clients" / "typescript"
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not (CLIENT / "dist" / "index.js").exists() or shutil.which("node") is None, reason="make client-ts was not run"
    ),
]
PROGRAM = """
import { Endocrine } from "@endocrine/client";
const endocrine = new Endocrine({ spool: null });
const said = {};
const turn = await endocrine.turn({ identity: process.argv[1], prompt: "How long do refunds take?" }, async (turn) => {
  said.mode = turn.mode;
  const call = { id: "c1", name: "retrieve_knowledge", arguments: '{"query": "refunds"}' };
  const decision = await turn.toolCall(call);
  said.tool = decision.tool;
  said.again = (await turn.toolCall(call)).tool;
  turn.toolResult(decision, { passages: [] });
  try { await turn.toolCall({ id: "c2", name: "exec_code", input: { code: "1" } }); }
  catch (error) { said.denied = [error.name, error.reason]; }
  said.then = [turn.mode, turn.modulation.revision];
  turn.answer("Ten days.");
  return turn;
});
endocrine.rate(turn, 5);
said.flushed = await endocrine.flush();
console.log(JSON.stringify({ ...said, counts: endocrine.counts, audit_id: turn.auditId }));
await endocrine.close();
"""


async def test_a_turn_is_governed_and_is_on_record(door, who, eventually):
    process = await asyncio.create_subprocess_exec(
        "node", "--input-type=module", "-e", PROGRAM, who, cwd=CLIENT,
        env=os.environ | {"ENDOCRINE_URL": door.url, "ENDOCRINE_API_KEY": door.secret},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    assert process.returncode == 0, output
    said = json.loads(output)
    assert (said["mode"], said["tool"], said["again"]) == ("balanced", "retrieval", "retrieval")
    assert (said["denied"], said["then"]) == (["Denied", "disabled_by_flag"], ["strict", 1])
    assert said["flushed"]
    assert (said["counts"]["delivered"], said["counts"]["refused"]) == (3, 0)
    async with door.client() as client:
        found = await eventually(
            lambda: client.get(f"/v1/turns/{said['audit_id']}"), lambda a: a.status_code == 200 and a.json()["closed"]
        )
        assert found.json()["closed"]["response"] == "Ten days."
        letters = await client.get("/v1/dead-letters", params={"identity": who})
        assert letters.json()["total"] == 0
