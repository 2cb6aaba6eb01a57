"""Each role as a process and a principal of its own, with exactly the ACLs that `endocrine acls print` lists.

One deployment for all: records come in, a turn is answered over HTTP by a scripted model, read models are written, a
policy is published, and everything is proved. What each principal was asked for is read from the authorizer's own log.
"""

import asyncio
import base64
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pytest
import pytest_asyncio
import redis.asyncio as redis

from endocrine.pipeline.cli.acl_roles import ROLES, acls_of
from endocrine.pipeline.data.dead_letters.broker import look
from endocrine.pipeline.data.dead_letters.select import Filter
from endocrine.pipeline.kafka import acls
from endocrine.pipeline.kafka.connection import producer
from endocrine.pipeline.local.fake_llm.script import parse_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.process.settings import environment
from endocrine.pipeline.views.redis.keys import ViewKeys
from secured_broker import ADMIN, Authorized, SecuredBroker
from secured_valkey import SecuredValkey, secured_valkey
from waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
_SCENARIO = Path(__file__).parents[2] / "config/scenario.jsonl"
_LASTING = {"worker": ["worker"], "connector": ["connect", "all"], "gateway": ["gateway", "--port", "0"],
            "projector": ["project"]}  # fmt: skip


_IMAGE = {"url": "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n...").decode()}
_READ = ("/readyz", "/v1/bonds", "/v1/incidents", "/console")
"""What the gateway serves from Redis."""
_UNPLAYED: dict[str, set[str]] = {
    # Groups of workers that run some of the agents only; keys, where content is encrypted.
    "worker": {"endocrine.decide", "endocrine.record", "content-keys"},
    # Read before a tool is run again; keys, where content is encrypted.
    "connector": {"effect-starts", "content-keys"},
    # Read when a subject is erased; keys, where content is encrypted.
    "projector": {"registry", "content-keys"},
    "auditor": {"images"},
    # Read for chats, whose people may have aliases; keys, where content is encrypted.
    "producer": {"registry", "registry-events", "content-keys"},
    # Empty until the operator and the auditor have written them.
    "operator": {"ops-events", "checkpoints"},
    # Read to roll back.
    "publisher": {"policies"},
}
"""What a role reads that this deployment gives no occasion for; the gateway reads what a caller asks for."""
_IN_VAIN = {"gateway": {("GROUP", "endocrine"), ("TOPIC", "endocrine.changelog.gating")}}
"""What the console's first page asks for beyond the role of the gateway, and does without: lag and tools left alone."""


@dataclasses.dataclass
class Deployment:
    """What the processes of the roles did: exit codes and logs by role, and what the authorizer answered them."""

    codes: dict[str, int]
    logs: dict[str, str]
    answer: str
    authorized: set[Authorized]
    of_redis: list[str]
    """What Redis refused its users."""
    secrets: list[str]


class Processes:
    """Commands of `endocrine`, each as the principal of its role."""

    def __init__(self, broker: SecuredBroker, folder: Path, valkey: SecuredValkey, more: dict[str, str]) -> None:
        self.folder, self.broker, self.valkey, self.more = folder, broker, valkey, more
        self.codes: dict[str, int] = {}
        self.lasting: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, role: str, *words: str) -> asyncio.subprocess.Process:
        of_redis = self.valkey.settings(f"endocrine-{role}") if role in ("gateway", "projector") else {}
        settings = self.broker.settings(role, data_dir=self.folder / role, **of_redis)
        settings.data_dir.mkdir(exist_ok=True)
        given = {name: value for name, value in os.environ.items() if not name.startswith("ENDOCRINE_")}
        given |= environment(settings) | self.more
        with (self.folder / f"{role}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "endocrine.pipeline.cli", *words, env=given, stdout=log, stderr=log
            )

    async def run(self, role: str, *words: str) -> None:
        self.codes[role] = await asyncio.wait_for((await self.start(role, *words)).wait(), 120)
        assert self.codes[role] == 0, self.log(role)

    async def stop(self) -> None:
        for process in self.lasting.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for role, process in self.lasting.items():
            self.codes[role] = await asyncio.wait_for(process.wait(), 60)

    def log(self, role: str) -> str:
        return (self.folder / f"{role}.log").read_text(errors="replace")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(broker: SecuredBroker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    folder = tmp_path_factory.mktemp("roles")
    for role in ROLES:
        await acls.create(broker.settings(ADMIN), f"User:{role}", acls_of(role, broker.settings(role)))
    began = broker.log_end()
    seal_keys = folder / "seal.keys"
    seal_keys.write_text("k1:" + "5e" * 32 + "\n")
    seal_keys.chmod(0o600)
    script = parse_script({"rules": [{"name": "all", "steps": [{"text": "two days"}]}]})
    async with ScriptedServer(script) as model, secured_valkey(folder, broker.authority) as valkey:
        processes = Processes(
            broker,
            folder,
            valkey,
            {
                "ENDOCRINE_SEAL_KEY_FILE": str(seal_keys),
                "OPENAI_API_KEY": "any",
                "OPENAI_BASE_URL": model.base_url,
            },
        )
        try:
            answer = await _play(processes, folder)
        finally:
            await processes.stop()
        refused = await valkey.refused()
    hidden = ["5e" * 32, *(file.read_text().strip() for file in folder.glob("*.password")), *broker.users.values()]
    logs = {role: processes.log(role) for role in processes.codes}
    yield Deployment(processes.codes, logs, answer, broker.authorized(began), refused, hidden)


async def _play(processes: Processes, folder: Path) -> str:
    url = folder / "gateway.ready"
    for role, words in _LASTING.items():
        ready = ["--ready-file", str(folder / f"{role}.ready")] if role != "projector" else []
        processes.lasting[role] = await processes.start(role, *words, *ready)

    def all_ready() -> bool:
        for role, process in processes.lasting.items():
            assert process.returncode is None, processes.log(role)
        return all((folder / f"{role}.ready").exists() for role in _LASTING if role != "projector")

    await until(all_ready)
    await processes.run("producer", "ingest", str(_SCENARIO))
    policy = folder / "policy.yaml"
    policy.write_text("{}\n")
    await processes.run("publisher", "policy", "publish", str(policy), "--yes", "--reason", "a test")
    async with httpx.AsyncClient(base_url=url.read_text(), timeout=60, trust_env=False) as client:
        parts = [{"type": "text", "text": "How long do refunds take?"}, {"type": "image_url", "image_url": _IMAGE}]
        asked = {"model": "scripted", "messages": [{"role": "user", "content": parts}]}
        found = await client.post("/openai/v1/chat/completions", json=asked)
        assert found.status_code == 200, f"{found.text}\n{processes.log('gateway')}\n{processes.log('worker')}"
        for path in _READ:
            read = await client.get(path)
            assert read.status_code == 200, f"{path}: {read.text}"
    async with redis.from_url(processes.valkey.url) as views:
        await until(lambda: views.zcard(ViewKeys(processes.broker.settings("projector").prefix).turns()))
    await _malformed(processes.broker)
    await processes.run("operator", "dlq", "redrive", "--topic", "signals", "--yes")
    await processes.run("operator", "erase", "bob", "--yes", "--wait", "120")
    await processes.run("auditor", "replay", "verify")
    await processes.run("auditor", "lag")
    key = folder / "audit.key"
    await processes.run("auditor", "audit", "keygen", str(key))
    await processes.run("auditor", "audit", "checkpoint", "--key", str(key))
    await processes.run("auditor", "backup", "create", "--dir", str(folder / "backups"))
    return str(found.json()["choices"][0]["message"]["content"])


async def _malformed(broker: SecuredBroker) -> None:
    """A record that becomes a dead letter, and is one."""
    settings = broker.settings(ADMIN)
    writer = producer(settings)
    await writer.start()
    try:
        await writer.send_and_wait(settings.prefix + "signals", b"{}", key=b"ann")
    finally:
        await writer.stop()

    async def dead() -> bool:
        return bool(await look(settings, Filter()))

    await until(dead)


async def test_a_turn_is_answered_where_each_process_has_only_the_acls_of_its_role(deployment: Deployment) -> None:
    assert "two days" in deployment.answer


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_works_with_its_acls_and_is_refused_nothing(deployment: Deployment, role: str) -> None:
    assert deployment.codes[role] == 0, deployment.logs[role]
    refused = {(one.resource, one.name) for one in deployment.authorized if one.principal == role and not one.allowed}
    assert refused == _IN_VAIN.get(role, set())


async def test_redis_refuses_its_users_nothing(deployment: Deployment) -> None:
    assert deployment.of_redis == []


async def test_no_process_wrote_a_secret_of_any(deployment: Deployment) -> None:
    assert len(deployment.secrets) > len(ROLES)
    assert [role for role, log in deployment.logs.items() for one in deployment.secrets if one in log] == []


@pytest.mark.parametrize("role", sorted({*ROLES} - {"gateway"}))
async def test_a_role_may_read_nothing_that_it_does_not_read(
    deployment: Deployment, broker: SecuredBroker, role: str
) -> None:
    settings = broker.settings(role)
    granted = {(acl.resource, acl.name) for acl in acls_of(role, settings) if acl.operation == "READ"}
    used = {(one.resource, one.name) for one in deployment.authorized
            if one.principal == role and one.operation == "READ"}  # fmt: skip
    if role in ("auditor", "operator"):  # who looks through topics fetches nothing from an empty one
        granted &= {(one.resource, one.name) for one in deployment.authorized if one.operation == "WRITE"}
    assert {name.removeprefix(settings.prefix) if of == "TOPIC" else name for of, name in granted - used} == (
        _UNPLAYED.get(role, set())
    )


async def test_no_role_may_create_change_or_delete_anything_and_only_workers_write_journal_and_states(
    broker: SecuredBroker,
) -> None:
    settings = broker.settings("worker")
    for role in ROLES:
        found = acls_of(role, settings)
        assert {acl.operation for acl in found} <= {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
        assert {acl.pattern for acl in found} == {"LITERAL"}
        written = {acl.name.removeprefix(settings.prefix) for acl in found if acl.operation == "WRITE"}
        kept = {name for name in written if name == "journal" or name.startswith("changelog.")}
        assert bool(kept) == (role == "worker")
