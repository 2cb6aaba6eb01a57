"""A Kafka with TLS and SASL: each mechanism connects, and what is refused says which setting to look at."""

from pathlib import Path

import pytest

from endocrine.pipeline.kafka.admin import ConnectionRefused, ensure_topics
from endocrine.pipeline.kafka.connection import why_refused
from endocrine.pipeline.process.settings import Settings
from secured_broker import Authority, SecuredBroker

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_a_wrong_password_is_named_at_once(broker: SecuredBroker, folder: Path) -> None:
    wrong = broker.settings("worker", kafka_password_file=folder / "gateway.password")
    with pytest.raises(ConnectionRefused, match=r"refused the credentials of User:worker.*KAFKA_PASSWORD_FILE"):
        await ensure_topics(wrong, [])


async def test_an_authority_that_did_not_sign_is_named(broker: SecuredBroker, folder: Path) -> None:
    other = Authority(folder / "other")
    reason = await why_refused(broker.settings("worker", kafka_ca_file=other.file))
    assert reason
    assert "not trusted" in reason
    assert "ENDOCRINE_KAFKA_CA_FILE" in reason


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_each_mechanism_connects(broker: SecuredBroker, mechanism: str) -> None:
    assert await why_refused(broker.settings("worker", kafka_sasl_mechanism=mechanism), guess=True) is None


async def test_a_client_certificate_is_asked_for_and_taken(broker: SecuredBroker) -> None:
    tls = {"bootstrap": f"127.0.0.1:{broker.tls}", "kafka_security": "SSL", "kafka_ca_file": broker.authority.file}
    reason = await why_refused(Settings(**tls), guess=True)
    assert reason
    assert "ENDOCRINE_KAFKA_CERTIFICATE_FILE" in reason
    ours = broker.authority.issue("worker")
    named = Settings(**tls, kafka_certificate_file=ours.certificate, kafka_key_file=ours.key)
    assert await why_refused(named, guess=True) is None
