"""`endocrine names` on a broker with a worker, and `endocrine ingest` that follows it."""

import asyncio
import json

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import ingest as ingest_command
from endocrine.pipeline.cli import names as names_command
from endocrine.pipeline.cli import replay as replay_command
from endocrine.pipeline.cli import state as state_command
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.policy_files import shipped_policy
from running import at_rest, worker_in_process

app = typer.Typer()
for module in (names_command, ingest_command, state_command, replay_command):
    module.register(app)


@pytest.fixture
def small(settings, monkeypatch):
    """Settings that the commands find in the environment too."""
    small = settings.model_copy(update={"partitions": 2})
    for name in ("prefix", "partitions", "bootstrap"):
        monkeypatch.setenv(f"ENDOCRINE_{name.upper()}", str(getattr(small, name)))
    return small


async def command(*words):
    """In a thread of this process: two dozen commands, and each process would take a second to start."""
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.slow
async def test_a_rekey_is_planned_from_what_agents_remember_applied_and_reproduced_by_replay(small, tmp_path):
    await ensure_topics(small, [agent.name for agent in AGENTS])
    consumer = AIOKafkaConsumer(bootstrap_servers=small.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(small, AGENTS, shipped_policy()) as worker:
            caps = [("old", 3), ("Ann", 5)]
            common = {"kind": "set_cap", "by": "op", "ts": 1.0}
            lines = [{"topic": "commands", "value": {**common, "identity": name, "cap": cap}} for name, cap in caps]
            seen = {"primitive": "motor.input_modality", "value": "typed", "confidence": 0.9, "source": "s", "v": 1}
            seen |= {
                "identity_ref": "old",
                "window": {"start_ts": 1.0, "end_ts": 2.0},
                "evidence_ref": "e",
                "ts": 2.0,
                "id": "o1",
            }
            lines.append({"topic": "observations", "value": seen})
            await produce(lines, small)
            await at_rest(worker, consumer)
            registered = ("names", "register", "Ann", "--scope", "identity")
            code, out, err = await command(*registered)
            assert code == 0, err
            plan = ("names", "rekey", "plan", "OLD")
            assert (await command(*plan))[0] == 1, "the name is not registered"
            code, out, err = await command(*registered, "--alias", "old")
            assert (code, out) == (0, "unchanged: identity Ann\nregistered: identity old\n"), err
            code, out, err = await command(*plan, "--json")
            report = json.loads(out)
            assert (code, report["agents"]["bonds"], report["subjects"]) == (1, "collision", ["old"]), err
            assert "COLLISION bonds old: daily_msg_cap REFUSED" in (await command(*plan))[1]
            await produce([{"topic": "commands", "value": {**common, "identity": "old", "cap": 5, "ts": 2.0}}], small)
            await at_rest(worker, consumer)
            assert (await command(*plan))[0] == 0
            remembered = [{"kind": "memory_create", "type": "knowledge", "content": f"of {name}", "by": "op", "ts": 3.0,
                           "identity": name} for name in ("old", "Ann")]  # fmt: skip
            await produce([{"topic": "commands", "value": value} for value in remembered], small)
            code, out, err = await command("names", "rekey", "apply", "old", "--json", "--report", str(tmp_path))
            assert code == 0, err
            applied = json.loads(out)["applied"]
            assert (applied["ended"], set(applied["outcomes"])) == ("done", {"possible", "adopted", "retired"})
            assert json.loads(next(tmp_path.glob("rekey-*.json")).read_bytes())["applied"] == applied
            assert json.loads((await command(*plan, "--json"))[1])["is_empty"]
            code, out, err = await command("state", "--agent", "memory", "--format", "json")
            assert (code, out.count("Ann/m-"), out.count("old/m-")) == (0, 2, 0), out
            code, out, err = await command("state", "--agent", "attribution", "--format", "json")
            assert (code, out.count("Ann/motor."), out.count("old/motor.")) == (0, 1, 0), out
            await at_rest(worker, consumer)
            code, out, err = await command("replay", "verify", "--json")
            assert code == 0, out + err
            assert (await command("names", "rekey", "apply", "Ann"))[0] == 1
            assert (await command("names", "rekey", "apply", "Ann", "--allow-empty"))[:2] == (0, "nothing to plan\n")
    finally:
        await consumer.stop()


async def test_names_are_registered_shown_released_and_used(small, tmp_path):
    await ensure_topics(small, [agent.name for agent in AGENTS])

    async def names(*words):
        return await command("names", *words)

    code, _, err = await names("register", "p05-x", "--wait", "0.1")
    assert (code, "no worker answered" in err) == (3, True), err
    async with worker_in_process(small, [one for one in AGENTS if one.name == "registry"], shipped_policy()):
        code, out, err = await names("register", "p06", "--alias", "six", "--root", f"{tmp_path}:six")
        assert (code, out) == (0, "registered: project p06\nregistered: project six\n"), err
        code, out, _ = await names("alias", "five", "p05-x")
        assert (code, out) == (0, "registered: project five\n")
        assert (await names("alias", "five", "p05-x"))[:2] == (0, "unchanged: project five\n")
        code, _, err = await names("alias", "FIVE", "p06")
        assert (code, "taken, it means 'p05-x'" in err) == (1, True), err
        code, _, err = await names("alias", "seven", "p07")
        assert (code, "unknown" in err) == (1, True), err
        assert (await names("release", "p06"))[0] == 1

        file = tmp_path / "names.json"
        file.write_text(
            json.dumps({"projects": [{"id": "p08", "aliases": ["eight"]}, {"id": "p09", "aliases": ["six"]}]})
        )
        code, _, err = await names("import", str(file))
        assert (code, "nothing was registered" in err) == (1, True), err
        assert (await names("show", "p08"))[0] == 1
        file.write_text(json.dumps({"projects": [{"id": "p08", "aliases": ["eight"], "description": "d"}],
                                    "identities": [{"id": "Ann", "aliases": ["a.s."]}]}))  # fmt: skip
        assert (await names("import", str(file)))[0] == 0
        assert (await names("import", str(file)))[1].count("unchanged") == 4
        file.write_text('{"projects": [{"aliases": []}]}')
        code, _, err = await names("import", str(file))
        assert (code, "projects.0.id" in err) == (2, True), err

        code, out, _ = await names("show", "EIGHT", "--json")
        assert (code, json.loads(out)["registered_id"]) == (0, "p08")
        code, out, _ = await names("detect", str(tmp_path / "six" / "deep"), "--json")
        assert (code, json.loads(out)) == (0, {"project": "p06"})
        assert (await names("detect", str(tmp_path / "sixty")))[0] == 1
        assert (await names("release", "eight"))[:2] == (0, "released: project eight\n")
        code, out, _ = await names("list")
        assert (code, "4 ids" in out, "eight" in out, "six" in out) == (0, True, False, True)
        assert (await names("check"))[:2] == (0, "8 names, 0 faults\n")

        chat = tmp_path / "chat.txt"
        chat.write_text("You said:\nWhy is the build red?\nChatGPT said:\nA test fails.\n")
        code, _, err = await command("ingest", str(chat), "--format", "text", "--identity", "A.S.", "--project", "Six")
        assert code == 0, err
    found = [raw async for _, _, records in batches(small, ["interactions"]) for raw in records]
    assert {raw.key for raw in found} == {b"Ann"}
    assert [orjson.loads(raw.value)["project"] for raw in found if b'"opened"' in raw.value] == ["p06"]
    code, out, err = await command("state", "--agent", "registry", "--identity", "$registry", "--format", "json")
    assert (code, out.count("\n")) == (0, 8), err
