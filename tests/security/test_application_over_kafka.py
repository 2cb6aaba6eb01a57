"""What a program with the Python client over Kafka may do there, as its page says: what a producer may, and READ."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from endocrine.pipeline.cli.acl_roles import acls_of
from endocrine.pipeline.kafka import acls
from endocrine.pipeline.kafka.acls import Acl
from endocrine.pipeline.process.seal_keys import FILE, load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine_client import Endocrine, NotDecided
from endocrine_client.kafka import KafkaTransport
from endocrine_client.kafka.binding import digest_of
from endocrine_client.kafka.watch import AUTHORS, NEEDED
from sealing import sealed
from secured_broker import ADMIN, SecuredBroker

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
CALL = {"id": "c1", "name": "retrieve_knowledge", "arguments": {"query": "refunds"}}


@pytest.mark.parametrize("read", [(), NEEDED, tuple(AUTHORS)], ids=["none", "those that are needed", "all"])
async def test_a_call_runs_where_the_needed_topics_may_be_read_and_nowhere_else(
    broker: SecuredBroker, tmp_path: Path, read: Sequence[str]
) -> None:
    settings, who = broker.settings("producer", data_dir=tmp_path), f"p{uuid.uuid4().hex[:8]}"
    load_seals(settings)
    transport = KafkaTransport(
        settings.bootstrap, prefix=settings.prefix, seal_key_file=tmp_path / FILE, security_protocol="SASL_SSL",
        ssl_context=settings.kafka_tls(), sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_plain_username="producer", sasl_plain_password=broker.users["producer"],
    )  # fmt: skip
    async with (
        permitted(broker, settings, read),
        Endocrine(transport=transport, spool=False, open_s=10, decision_s=2, close_s=1) as endocrine,
        endocrine.turn(identity=who, prompt="How?") as turn,
    ):
        assert turn.modulation.advice == ("late" if read else "unavailable")  # no worker is here
        await decide(broker, settings, who, turn.audit_id)
        if not read:
            with pytest.raises(NotDecided):
                await turn.tool_call(CALL)
        else:
            assert (await turn.tool_call(CALL)).allowed


@asynccontextmanager
async def permitted(broker: SecuredBroker, settings: Settings, read: Sequence[str]) -> AsyncIterator[None]:
    """The principal has the role `producer`, and may read these topics."""
    wanted = [*acls_of("producer", settings), *(Acl("TOPIC", settings.prefix + topic, "READ") for topic in read)]
    admin = broker.settings(ADMIN)
    await acls.create(admin, settings.kafka_principal, wanted)
    try:
        async with asyncio.timeout(30):
            while await acls.missing(settings, wanted):  # noqa: ASYNC110 - the broker says nothing when it knows them
                await asyncio.sleep(0.05)
        yield
    finally:
        await acls.delete(admin, settings.kafka_principal, wanted)


async def decide(broker: SecuredBroker, settings: Settings, who: str, audit_id: str) -> None:
    """Append the decision that a gate would."""
    value = {"call_id": "c1", "audit_id": audit_id, "identity": who, "function": "retrieve_knowledge",
             "tool": "retrieval", "decision": "allowed", "reason": None, "revision": 0,
             "arguments_digest": digest_of(CALL["arguments"])}  # fmt: skip
    content, origin = json.dumps(value).encode(), ("endocrine-origin", b"gating/tool-calls/0/0/0")
    headers = sealed(settings, "tool-decisions", 0, who.encode(), content, [("ce_id", b"gating/x/0"), origin])
    producer = AIOKafkaProducer(bootstrap_servers=broker.node.bootstrap)
    await producer.start()
    try:
        topic = settings.prefix + "tool-decisions"
        await producer.send_and_wait(topic, content, key=who.encode(), partition=0, headers=headers)
    finally:
        await producer.stop()
