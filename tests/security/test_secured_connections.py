"""A Kafka with TLS and SASL: each mechanism connects, and what is refused says which setting to look at."""

import base64
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from endocrine.pipeline.kafka import acls
from endocrine.pipeline.kafka.acls import Acl
from endocrine.pipeline.kafka.admin import ConnectionRefused, ensure_topics
from endocrine.pipeline.kafka.connection import why_refused
from endocrine.pipeline.process.settings import Settings
from secured_broker import ADMIN, Authority, SecuredBroker
from tls_proxy import tls_in_front
from waiting import until

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
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("given", "named"),
    [({"host": "kafka.example"}, "ENDOCRINE_BOOTSTRAP"), ({"days": timedelta(days=1)}, "has expired")],
)
async def test_a_certificate_of_another_host_and_one_that_expired_are_named(
    broker: SecuredBroker, given: dict[str, Any], named: str
) -> None:
    async with tls_in_front(0, broker.authority.issue(f"bad-{named.split()[-1]}", **given)) as port:
        reason = await why_refused(broker.settings("worker", bootstrap=f"127.0.0.1:{port}"))
    assert reason
    assert "is not trusted" in reason
    assert named in reason
    assert ("ENDOCRINE_KAFKA_CA_FILE" in reason, "\n" in reason) == (False, False)


async def test_a_token_file_connects_as_the_subject_of_the_token_and_is_read_again_for_each_connection(
    broker: SecuredBroker, folder: Path
) -> None:
    token = folder / "worker.token"
    settings = Settings(bootstrap=f"127.0.0.1:{broker.sasl}", kafka_security="SASL_SSL", kafka_token_file=token,
                        kafka_sasl_mechanism="OAUTHBEARER", kafka_ca_file=broker.authority.file)  # fmt: skip
    token.write_text(unsecured_token("worker", time.time() - 7200) + "\n")
    reason = await why_refused(settings)
    assert reason
    assert "ENDOCRINE_KAFKA_TOKEN_FILE (expired" in reason
    token.write_text(unsecured_token("worker", time.time()) + "\n")
    assert await why_refused(settings, guess=True) is None
    mine = Acl("TOPIC", "endocrine.journal", "READ")
    await acls.create(broker.settings(ADMIN), "User:worker", [mine])
    await acls.delete(broker.settings(ADMIN), "User:producer", [mine])

    async def lacking() -> bool:
        return await acls.missing(settings, [mine]) == []

    await until(lacking)
    token.write_text(unsecured_token("producer", time.time()) + "\n")
    assert await acls.missing(settings, [mine]) == [mine]


def unsecured_token(subject: str, issued: float) -> str:
    """A token that lasts an hour, which nobody signed: the broker's own validator for tests takes it."""
    claims = {"sub": subject, "iat": int(issued), "exp": int(issued) + 3600}
    parts = [base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in ({"alg": "none"}, claims)]
    return ".".join([*parts, ""])


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
