"""Memories of an older store taken over on a broker: every phase by the real command line, repeated, killed once."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid

import pytest

from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
MEMORIES, PEOPLE = 1_100, 12
"""More than two checkpoints of a backfill."""


class OlderStore:
    """A store of before, and its exports."""

    def __init__(self, folder, who):
        self.rows, self._folder = {}, folder
        for number in range(MEMORIES):
            self.put(f"{number}", subject=f"{who}-{number % PEOPLE}", content=f"memory number {number}")

    def put(self, origin, **fields):
        """A write of the application; its line."""
        before = self.rows.get(origin, {"version": 0, "type": "knowledge", "status": "active", "confidence": 0.5})
        self.rows[origin] = {**before, "created_ts": 1.0, "version": before["version"] + 1, **fields, "id": origin}
        return json.dumps(self.rows[origin]) + "\n"

    def export(self, name="latest"):
        file = self._folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()))
        return str(file)


class Commands:
    """`endocrine memory`, each a process of its own."""

    def __init__(self, settings, folder):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ENDOCRINE_")}
        self.folder = folder
        self._env = clean | {
            "ENDOCRINE_BOOTSTRAP": settings.bootstrap, "ENDOCRINE_PREFIX": settings.prefix,
            "ENDOCRINE_PARTITIONS": str(settings.partitions), "ENDOCRINE_REDIS_URL": settings.redis_url,
            "ENDOCRINE_REDIS_DB": str(settings.redis_db), "ENDOCRINE_GROUP": settings.group,
            "ENDOCRINE_DATA_DIR": str(folder),
        }  # fmt: skip

    def start(self, *words):
        command = [sys.executable, "-m", "endocrine.pipeline.cli", "memory", *words]
        return subprocess.Popen(command, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)  # fmt: skip

    async def migrate(self, *words, given="", code=0):
        return await self.run("migrate", *words, "--store", "older", given=given, code=code)

    async def run(self, *words, given="", code=0):
        process = self.start(*words)
        out, err = await asyncio.to_thread(process.communicate, given, 300)
        assert code is None or process.returncode == code, (words, process.returncode, out[-500:], err[-2000:])
        return out

    def checkpoint(self):
        """Lines that a backfill has behind it."""
        states = [json.loads(file.read_bytes()) for file in (self.folder / "migration").glob("*.json")]
        return max((state.get("backfill", {}).get("lines", 0) for state in states), default=0)


async def no_drift(commands, older):
    """The report once the workers and the read models have followed."""

    async def report():
        found = json.loads(await commands.migrate("shadow", older.export(), "--json", code=None))
        return None if found["drifted"] else found

    return await until(report)


async def test_a_store_is_taken_over_and_given_back_and_no_later_version_is_lost(door, tmp_path):
    who = f"m{uuid.uuid4().hex[:8]}"
    commands, older = Commands(door.settings, tmp_path / "data"), OlderStore(tmp_path, who)
    early = older.export("early")

    live = older.put("7", content="written while the backfill ran")
    assert await commands.migrate("write", given=live) == "1 sent\n"
    killed = commands.start("migrate", "backfill", early, "--store", "older")
    await until(lambda: commands.checkpoint() > 0 or killed.poll() is not None)
    killed.send_signal(signal.SIGKILL)
    await asyncio.to_thread(killed.communicate)
    before = commands.checkpoint()
    assert before > 0
    again = await commands.migrate("backfill", early)
    assert again == f"{MEMORIES - before} lines sent, {before} before\n"
    assert await commands.migrate("backfill", early) == f"0 lines sent, {MEMORIES} before\n"

    report = await no_drift(commands, older)
    assert report["compared"] == MEMORIES

    older.put("8", content="not written here")
    out = await commands.migrate("cut-over", older.export(), code=1)
    assert out == ""
    await commands.migrate("write", given=json.dumps(older.rows["8"]) + "\n")
    await no_drift(commands, older)
    assert await commands.migrate("cut-over", older.export()) == f"cut over: {MEMORIES} memories are the same\n"
    assert await commands.migrate("cut-over", older.export()) == "cut over before\n"
    await commands.migrate("write", given=live, code=1)
    await commands.migrate("backfill", early, code=1)

    mine = f"{who}-{9 % PEOPLE}"
    [memory] = [
        one
        for one in json.loads(await commands.run("list", mine, "--limit", "500", "--json"))["items"]
        if one["content"] == "memory number 9"
    ]
    await commands.run("update", mine, memory["memory_id"], "--content", "changed after the cut over")
    back = await commands.migrate("roll-back", older.export())
    [line] = [json.loads(one) for one in back.splitlines()]
    assert (line["id"], line["content"], line["version"]) == ("9", "changed after the cut over", 2)
    older.rows["9"] = line
    await commands.migrate("write", given=back)
    assert (await no_drift(commands, older))["compared"] == MEMORIES
