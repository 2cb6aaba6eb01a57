"""A Kafka with TLS, SASL and an authorizer: what is refused says which setting, and each ACL taken away is named."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.acl_roles import ROLES, acls_of
from endocrine.pipeline.kafka import acls
from endocrine.pipeline.kafka.admin import ConnectionRefused, ensure_topics
from endocrine.pipeline.kafka.connection import why_refused
from endocrine.pipeline.process.settings import Settings
from secured_broker import ADMIN, Authority, SecuredBroker

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secured")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(folder: Path) -> AsyncIterator[SecuredBroker]:
    async with SecuredBroker(folder, list(ROLES)) as found:
        await ensure_topics(found.settings(ADMIN), [agent.name for agent in AGENTS])
        yield found


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


@pytest.mark.parametrize("role", ROLES)
async def test_each_acl_that_is_taken_away_is_named(broker: SecuredBroker, role: str) -> None:
    # PLAIN, because SCRAM takes time at each of a thousand connections.
    theirs, admin = (broker.settings(user, kafka_sasl_mechanism="PLAIN") for user in (role, ADMIN))
    wanted = acls_of(role, theirs)
    await acls.create(admin, f"User:{role}", wanted)
    assert await _missing_once(theirs, wanted, lambda lacking: not lacking) == []
    for acl in wanted:
        assert await acls.delete(admin, f"User:{role}", [acl]) == 1
        lacking = await _missing_once(theirs, wanted, lambda found, acl=acl: acl in found)
        # What may not be described any more shows none of its other permissions; no other resource is named.
        assert {one.name for one in lacking} == {acl.name}
        assert f"  {acl}" in acls.lacking_lines(theirs, role, lacking).splitlines()
        await acls.create(admin, f"User:{role}", [acl])
        await _missing_once(theirs, wanted, lambda found: not found)


async def _missing_once(
    settings: Settings, wanted: list[acls.Acl], holds: Callable[[list[acls.Acl]], bool]
) -> list[acls.Acl]:
    """An ACL is in force a moment after the answer."""
    async with asyncio.timeout(30):
        while not holds(found := await acls.missing(settings, wanted)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return found
